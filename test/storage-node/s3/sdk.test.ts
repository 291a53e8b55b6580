import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  type ChecksumAlgorithm,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  DeleteObjectTaggingCommand,
  GetBucketAclCommand,
  GetBucketLocationCommand,
  GetBucketVersioningCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  ListPartsCommand,
  paginateListObjectsV2,
  PutObjectCommand,
  PutObjectTaggingCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NODES, type OpenNode } from '../support/both-nodes.ts';
import { md5Hex } from '../support/memory-node.ts';
import { mixedBytes } from '../support/mixed-bytes.ts';
import { openWorld, type S3World } from '../support/s3-world.ts';

const Bucket = 'the-bucket';
const MIB = 2 ** 20;

describe.each(NODES)('the SDK of AWS against %s', (_name, open) => {
  let opened: OpenNode;
  let world: S3World;
  beforeAll(async () => {
    opened = await open();
    world = await openWorld({ limits: { minPartBytes: 100_000 } }, opened.node);
    await world.client.send(new CreateBucketCommand({ Bucket }));
  });
  afterAll(async () => {
    await world.close();
    await opened.close();
  });

  const put = (Key: string, Body: string | Uint8Array, further: object = {}) =>
    world.client.send(new PutObjectCommand({ Bucket, Key, Body, ...further }));
  /** Always reads the body, because a connection with an unread one cannot be reused. */
  const get = async (Key: string, further: object = {}) => {
    const got = await world.client.send(new GetObjectCommand({ Bucket, Key, ...further }));
    return { ...got, bytes: Buffer.from(await got.Body!.transformToByteArray()) };
  };
  const read = async (Key: string): Promise<Buffer> => (await get(Key)).bytes;
  const remove = (Key: string, further: object = {}) =>
    world.client.send(new DeleteObjectCommand({ Bucket, Key, ...further }));
  const names = async (Prefix: string): Promise<string[]> =>
    ((await world.client.send(new ListObjectsV2Command({ Bucket, Prefix }))).Contents ?? []).map(
      ({ Key }) => Key!,
    );
  const failsWith = (name: string, status: number) =>
    expect.objectContaining({
      name,
      $metadata: expect.objectContaining({ httpStatusCode: status }),
    });

  test('manages buckets', async () => {
    const { client } = world;
    await client.send(new CreateBucketCommand({ Bucket: 'another' }));
    const { Buckets = [] } = await client.send(new ListBucketsCommand({}));
    expect(Buckets.map(({ Name }) => Name)).toEqual(['another', Bucket]);
    const head = await client.send(new HeadBucketCommand({ Bucket: 'another' }));
    expect(head.BucketRegion).toBe('us-east-1');
    const location = await client.send(new GetBucketLocationCommand({ Bucket: 'another' }));
    expect(location.LocationConstraint).toBeUndefined();
    const versioning = await client.send(new GetBucketVersioningCommand({ Bucket: 'another' }));
    expect(versioning.Status).toBeUndefined();
    const acl = await client.send(new GetBucketAclCommand({ Bucket: 'another' }));
    expect(acl.Grants).toMatchObject([{ Permission: 'FULL_CONTROL' }]);
    await client.send(new DeleteBucketCommand({ Bucket: 'another' }));
    await expect(client.send(new HeadBucketCommand({ Bucket: 'another' }))).rejects.toEqual(
      failsWith('NotFound', 404),
    );
    await expect(client.send(new ListObjectsV2Command({ Bucket: 'another' }))).rejects.toEqual(
      failsWith('NoSuchBucket', 404),
    );
    await expect(client.send(new CreateBucketCommand({ Bucket: 'Bad_Name' }))).rejects.toEqual(
      failsWith('InvalidBucketName', 400),
    );
    await put('keeps/it', 'x');
    await expect(client.send(new DeleteBucketCommand({ Bucket }))).rejects.toEqual(
      failsWith('BucketNotEmpty', 409),
    );
  });

  test('returns an object with everything stored with it', async () => {
    const Body = mixedBytes(300_000);
    const stored = {
      ContentType: 'image/jpeg',
      CacheControl: 'max-age=5',
      ContentDisposition: 'attachment; filename="x y"',
      ContentLanguage: 'de',
      ContentEncoding: 'gzip',
      Metadata: { a: '1', 'longer-name': 'two  words' },
    };
    const { ETag } = await put('objects/one', Body, stored);
    expect(ETag).toBe(`"${md5Hex(Body)}"`);
    const got = await get('objects/one');
    expect(got).toMatchObject({ ...stored, ETag, ContentLength: Body.length });
    expect(got.bytes.equals(Body)).toBe(true);
    const head = await world.client.send(new HeadObjectCommand({ Bucket, Key: 'objects/one' }));
    expect(head).toMatchObject({ ...stored, ETag, ContentLength: Body.length });
    expect(head.LastModified).toEqual(got.LastModified);
    const overridden = await get('objects/one', { ResponseContentType: 'text/x' });
    expect(overridden.ContentType).toBe('text/x');
    await remove('objects/one');
    await expect(get('objects/one')).rejects.toEqual(failsWith('NoSuchKey', 404));
    await expect(
      world.client.send(new HeadObjectCommand({ Bucket, Key: 'objects/one' })),
    ).rejects.toEqual(failsWith('NotFound', 404));
    expect((await remove('objects/one')).$metadata.httpStatusCode).toBe(204);
  });

  test('stores empty objects, streams, and names of every kind', async () => {
    await put('names/empty', '');
    expect(await read('names/empty')).toHaveLength(0);
    const stream = Readable.from([Buffer.alloc(70_000, 'a'), Buffer.alloc(70_000, 'b')]);
    await world.client.send(
      new PutObjectCommand({ Bucket, Key: 'names/stream', Body: stream, ContentLength: 140_000 }),
    );
    expect(md5Hex(await read('names/stream'))).toBe(
      md5Hex(Buffer.from('a'.repeat(70_000) + 'b'.repeat(70_000))),
    );
    const strange = [
      'names/a b+c&d=e?f#g%h.txt',
      'names/ü/日本/😀',
      "names/!'()*~-._",
      'names//double//slash/',
      'names/%41',
      'names/"<>&\'',
    ];
    for (const name of strange) await put(name, name);
    for (const name of strange) expect((await read(name)).toString()).toBe(name);
    const all = ['names/empty', 'names/stream', ...strange];
    const sorted = all.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(await names('names/')).toEqual(sorted);
  });

  test('DeleteObjects removes exactly the objects that it names', async () => {
    const Keys = Array.from({ length: 1000 }, (_, i) => `many/${i}`);
    await Promise.all(Keys.slice(0, 100).map((Key) => put(Key, Key)));
    await put('many/a\u0001b', 'x');
    await put('many/ab', 'y');
    await put('many/line\r\nend&amp;', 'z');
    const { Deleted, Errors } = await world.client.send(
      new DeleteObjectsCommand({
        Bucket,
        Delete: { Objects: Keys.map((Key) => ({ Key })) },
      }),
    );
    expect(Errors ?? []).toEqual([]);
    expect(Deleted).toHaveLength(1000);
    await world.client.send(
      new DeleteObjectsCommand({
        Bucket,
        Delete: { Quiet: true, Objects: [{ Key: 'many/line\r\nend&amp;' }, { Key: 'many/none' }] },
      }),
    );
    const list = new ListObjectsV2Command({ Bucket, Prefix: 'many/', EncodingType: 'url' });
    const { Contents = [] } = await world.client.send(list);
    expect(Contents.map(({ Key }) => Key)).toEqual(['many/a%01b', 'many/ab']);
  });

  test('lists in pages, in versions one and two', async () => {
    const dirs = ['a', 'b', 'c'].flatMap((dir) => [1, 2, 3].map((i) => `list/${dir}/${i}`));
    for (const Key of [...dirs, 'list/top']) await put(Key, Key);
    const { client } = world;
    const pages: string[] = [];
    const paginator = paginateListObjectsV2({ client, pageSize: 2 }, { Bucket, Prefix: 'list/' });
    for await (const { Contents = [] } of paginator) {
      expect(Contents.length).toBeLessThanOrEqual(2);
      pages.push(...Contents.map(({ Key }) => Key!));
    }
    expect(pages).toEqual([...dirs, 'list/top']);
    let Marker: string | undefined;
    const seen: (string | undefined)[] = [];
    for (;;) {
      const page: ListObjectsCommand = new ListObjectsCommand({
        Bucket,
        Prefix: 'list/',
        Delimiter: '/',
        MaxKeys: 1,
        Marker,
      });
      const { CommonPrefixes = [], Contents = [], NextMarker } = await client.send(page);
      seen.push(...CommonPrefixes.map(({ Prefix }) => Prefix), ...Contents.map(({ Key }) => Key));
      if (NextMarker === undefined) break;
      Marker = NextMarker;
    }
    expect(seen).toEqual(['list/a/', 'list/b/', 'list/c/', 'list/top']);
    const after = { Bucket, Prefix: 'list/', StartAfter: 'list/c/2', FetchOwner: true };
    const rest = await client.send(new ListObjectsV2Command(after));
    expect(rest.Contents?.map(({ Key }) => Key)).toEqual(['list/c/3', 'list/top']);
    expect(rest.Contents?.[0]?.Owner?.ID).toMatch(/^[0-9a-f]{64}$/);
    const versions = await client.send(
      new ListObjectVersionsCommand({ Bucket, Prefix: 'list/a/' }),
    );
    expect(versions.Versions).toMatchObject([1, 2, 3].map(() => ({ VersionId: 'null' })));
  });

  test('reads ranges', async () => {
    const Body = mixedBytes(400_000);
    await put('ranged', Body);
    for (const [Range, from, to] of [
      ['bytes=0-0', 0, 1],
      ['bytes=65535-65536', 65_535, 65_537],
      ['bytes=-5', 399_995, 400_000],
      ['bytes=399990-', 399_990, 400_000],
      ['bytes=100000-9999999', 100_000, 400_000],
    ] as const) {
      const got = await get('ranged', { Range });
      expect(got.ContentRange).toBe(`bytes ${from}-${to - 1}/400000`);
      expect(got.bytes.equals(Body.subarray(from, to)), Range).toBe(true);
    }
    await expect(get('ranged', { Range: 'bytes=400000-' })).rejects.toEqual(
      failsWith('InvalidRange', 416),
    );
    expect((await get('ranged', { Range: 'bytes=5-1' })).ContentLength).toBe(400_000);
  });

  test('evaluates conditions of reads and writes', async () => {
    const { ETag } = await put('conditional', 'one', { IfNoneMatch: '*' });
    await expect(put('conditional', 'two', { IfNoneMatch: '*' })).rejects.toEqual(
      failsWith('PreconditionFailed', 412),
    );
    await expect(put('conditional', 'two', { IfMatch: '"abc"' })).rejects.toEqual(
      failsWith('PreconditionFailed', 412),
    );
    await expect(put('conditional-none', 'two', { IfMatch: '*' })).rejects.toEqual(
      failsWith('NoSuchKey', 404),
    );
    expect((await read('conditional')).toString()).toBe('one');
    await expect(get('conditional', { IfNoneMatch: ETag })).rejects.toEqual(
      expect.objectContaining({ $metadata: expect.objectContaining({ httpStatusCode: 304 }) }),
    );
    await expect(get('conditional', { IfMatch: '"abc"' })).rejects.toEqual(
      failsWith('PreconditionFailed', 412),
    );
    const [past, future] = [new Date(0), new Date('2100-01-01')];
    await expect(get('conditional', { IfUnmodifiedSince: past })).rejects.toEqual(
      failsWith('PreconditionFailed', 412),
    );
    // An ETag match takes precedence over the time.
    expect((await get('conditional', { IfMatch: ETag, IfUnmodifiedSince: past })).ETag).toBe(ETag);
    expect((await get('conditional', { IfUnmodifiedSince: future })).ETag).toBe(ETag);
    const second = await put('conditional', 'two', { IfMatch: ETag });
    await expect(remove('conditional', { IfMatch: ETag })).rejects.toEqual(
      failsWith('PreconditionFailed', 412),
    );
    await remove('conditional', { IfMatch: second.ETag });
    expect((await remove('conditional', { IfMatch: ETag })).$metadata.httpStatusCode).toBe(204);
  });

  test('one of 20 concurrent writers with If-None-Match wins', async () => {
    const tries = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => put('race', `writer ${i}`, { IfNoneMatch: '*' })),
    );
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test.each(['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const)(
    'the checksum %s is verified, stored, and returned',
    async (name: ChecksumAlgorithm) => {
      const Key = `checksums/${name}`;
      const field = `Checksum${name}` as 'ChecksumCRC32';
      const Body = mixedBytes(200_000);
      const stored = await put(Key, Body, { ChecksumAlgorithm: name });
      const got = await get(Key, { ChecksumMode: 'ENABLED' });
      expect(got[field]).toBe(stored[field]);
      expect(stored[field]).toMatch(/./);
      expect(got.ChecksumType).toBe('FULL_OBJECT');
      const bytes = Buffer.from(stored[field]!, 'base64');
      bytes[0]! ^= 1;
      const wrong = { [field]: bytes.toString('base64') };
      await expect(put(`${Key}/wrong`, Body, wrong)).rejects.toEqual(failsWith('BadDigest', 400));
      await expect(get(`${Key}/wrong`)).rejects.toEqual(failsWith('NoSuchKey', 404));
    },
  );

  test('a large stream is uploaded in parts and read back', async () => {
    const Body = mixedBytes(12 * MIB);
    const upload = new Upload({
      client: world.client,
      params: {
        Bucket,
        Key: 'large',
        Body: Readable.from([Body.subarray(0, 7 * MIB), Body.subarray(7 * MIB)]),
        Metadata: { parts: 'three' },
      },
    });
    const { ETag } = await upload.done();
    expect(ETag).toMatch(/-3"$/);
    const got = await get('large');
    expect(got.Metadata).toEqual({ parts: 'three' });
    expect(md5Hex(got.bytes)).toBe(md5Hex(Body));
    const part = await get('large', { PartNumber: 2 });
    expect(part.PartsCount).toBe(3);
    expect(part.ContentRange).toBe(`bytes ${5 * MIB}-${10 * MIB - 1}/${12 * MIB}`);
    expect(part.bytes.equals(Body.subarray(5 * MIB, 10 * MIB))).toBe(true);
    await expect(get('large', { PartNumber: 4 })).rejects.toEqual(
      failsWith('InvalidPartNumber', 416),
    );
    const attributes = await world.client.send(
      new GetObjectAttributesCommand({
        Bucket,
        Key: 'large',
        ObjectAttributes: ['ETag', 'ObjectParts', 'ObjectSize', 'Checksum'],
      }),
    );
    expect(attributes.ObjectSize).toBe(12 * MIB);
    expect(attributes.ObjectParts?.TotalPartsCount).toBe(3);
    const cut = await get('large', { Range: `bytes=${5 * MIB - 2}-${5 * MIB + 1}` });
    expect(cut.bytes.equals(Body.subarray(5 * MIB - 2, 5 * MIB + 2))).toBe(true);
  });

  test.each([
    ['CRC32', 'FULL_OBJECT'],
    ['CRC32C', 'FULL_OBJECT'],
    ['CRC64NVME', 'FULL_OBJECT'],
    ['CRC32C', 'COMPOSITE'],
    ['SHA256', 'COMPOSITE'],
  ] as const)(
    'parts with %s have a checksum that is %s',
    async (ChecksumAlgorithm, ChecksumType) => {
      const { client } = world;
      const Key = `parts/${ChecksumAlgorithm}/${ChecksumType}`;
      const field = `Checksum${ChecksumAlgorithm}` as 'ChecksumCRC32';
      const bodies = [mixedBytes(200_000), mixedBytes(90_000)];
      const { UploadId } = await client.send(
        new CreateMultipartUploadCommand({ Bucket, Key, ChecksumAlgorithm, ChecksumType }),
      );
      const Parts = [];
      for (const [at, Body] of bodies.entries()) {
        const PartNumber = at + 1;
        const sent = new UploadPartCommand({
          Bucket,
          Key,
          UploadId,
          PartNumber,
          Body,
          ChecksumAlgorithm,
        });
        const part = await client.send(sent);
        Parts.push({ PartNumber, ETag: part.ETag, [field]: part[field] });
      }
      const listed = await client.send(new ListPartsCommand({ Bucket, Key, UploadId }));
      expect(listed.Parts?.map(({ Size }) => Size)).toEqual([200_000, 90_000]);
      const complete = { Bucket, Key, UploadId, MultipartUpload: { Parts } };
      const done = await client.send(new CompleteMultipartUploadCommand(complete));
      expect(done.ChecksumType).toBe(ChecksumType);
      // A repeated request gets the same answer, because the first answer may have been lost.
      const again = await client.send(new CompleteMultipartUploadCommand(complete));
      expect([again.ETag, again[field]]).toEqual([done.ETag, done[field]]);
      if (ChecksumType === 'FULL_OBJECT') {
        const whole = await put(`${Key}/whole`, Buffer.concat(bodies), { ChecksumAlgorithm });
        expect(done[field]).toBe(whole[field]);
      } else expect(done[field]).toMatch(/-2$/);
    },
  );

  test('lists and aborts uploads, and refuses a wrong part', async () => {
    const { client } = world;
    const Key = 'uploads/one';
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
    const part = { Bucket, Key, UploadId, PartNumber: 1, Body: 'small' };
    const { ETag } = await client.send(new UploadPartCommand(part));
    await client.send(new UploadPartCommand({ ...part, PartNumber: 2 }));
    const uploads = await client.send(
      new ListMultipartUploadsCommand({ Bucket, Prefix: 'uploads/' }),
    );
    expect(uploads.Uploads).toMatchObject([{ Key, UploadId }]);
    const complete = (Parts: object[]) =>
      client.send(
        new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }),
      );
    const two = { ETag, PartNumber: 2 };
    await expect(complete([{ ETag, PartNumber: 1 }, two])).rejects.toEqual(
      failsWith('EntityTooSmall', 400),
    );
    await expect(complete([two, { ETag, PartNumber: 1 }])).rejects.toEqual(
      failsWith('InvalidPartOrder', 400),
    );
    await expect(complete([{ ETag, PartNumber: 3 }])).rejects.toEqual(
      failsWith('InvalidPart', 400),
    );
    await expect(complete([{ ETag: '"0"', PartNumber: 1 }])).rejects.toEqual(
      failsWith('InvalidPart', 400),
    );
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
    await expect(complete([two])).rejects.toEqual(failsWith('NoSuchUpload', 404));
    await expect(get(Key)).rejects.toEqual(failsWith('NoSuchKey', 404));
  });

  test('copies whole objects and parts', async () => {
    const { client } = world;
    const Body = mixedBytes(300_000);
    const Key = 'copies/from ü+&';
    await put(Key, Body, { Metadata: { a: 'b' }, ContentType: 'text/x', Tagging: 't=u' });
    const CopySource = `${Bucket}/${encodeURIComponent(Key)}`;
    const copy = (to: string, further: object = {}) =>
      client.send(new CopyObjectCommand({ Bucket, Key: to, CopySource, ...further }));
    await copy('copies/to');
    const copied = await get('copies/to');
    expect(copied).toMatchObject({ Metadata: { a: 'b' }, ContentType: 'text/x', TagCount: 1 });
    expect(md5Hex(copied.bytes)).toBe(md5Hex(Body));
    await copy('copies/to', { MetadataDirective: 'REPLACE', Metadata: { c: 'd' } });
    expect((await get('copies/to')).Metadata).toEqual({ c: 'd' });
    await expect(copy(Key)).rejects.toEqual(failsWith('InvalidRequest', 400));
    await copy(Key, { MetadataDirective: 'REPLACE', Metadata: { e: 'f' } });
    expect(md5Hex(await read(Key))).toBe(md5Hex(Body));
    await expect(copy('copies/no', { CopySourceIfMatch: '"abc"' })).rejects.toEqual(
      failsWith('PreconditionFailed', 412),
    );
    const none = { CopySource: `${Bucket}/copies/none` };
    await expect(copy('copies/no', none)).rejects.toEqual(failsWith('NoSuchKey', 404));
    const { UploadId } = await client.send(
      new CreateMultipartUploadCommand({ Bucket, Key: 'copies/parts' }),
    );
    const ranges = ['bytes=0-199999', 'bytes=200000-299999'];
    const Parts = [];
    for (const [at, CopySourceRange] of ranges.entries()) {
      const one = { Bucket, Key: 'copies/parts', UploadId, PartNumber: at + 1, CopySource };
      const { CopyPartResult } = await client.send(
        new UploadPartCopyCommand({ ...one, CopySourceRange }),
      );
      Parts.push({ PartNumber: at + 1, ETag: CopyPartResult!.ETag });
    }
    await client.send(
      new CompleteMultipartUploadCommand({
        Bucket,
        Key: 'copies/parts',
        UploadId,
        MultipartUpload: { Parts },
      }),
    );
    expect(md5Hex(await read('copies/parts'))).toBe(md5Hex(Body));
  });

  test('stores tags', async () => {
    const { client } = world;
    const Key = 'tagged';
    const { ETag } = await put(Key, 'x', { Tagging: 'b=2&a=1%20%2B' });
    const tags = async () =>
      (await client.send(new GetObjectTaggingCommand({ Bucket, Key }))).TagSet;
    expect(await tags()).toEqual([
      { Key: 'a', Value: '1 +' },
      { Key: 'b', Value: '2' },
    ]);
    const TagSet = [{ Key: 'ü', Value: '<&>' }];
    await client.send(new PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet } }));
    expect(await tags()).toEqual(TagSet);
    expect(await get(Key)).toMatchObject({ TagCount: 1, ETag });
    await client.send(new DeleteObjectTaggingCommand({ Bucket, Key }));
    expect(await tags()).toEqual([]);
    const twice = [...TagSet, ...TagSet];
    await expect(
      client.send(new PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet: twice } })),
    ).rejects.toEqual(failsWith('InvalidTag', 400));
  });

  test('accepts presigned links', async () => {
    const Key = 'links/a b+ü';
    const up = await getSignedUrl(world.client, new PutObjectCommand({ Bucket, Key }), {
      expiresIn: 60,
    });
    expect((await fetch(up, { method: 'PUT', body: 'by link' })).status).toBe(200);
    const down = await getSignedUrl(world.client, new GetObjectCommand({ Bucket, Key }), {
      expiresIn: 60,
    });
    const answer = await fetch(down);
    expect([answer.status, await answer.text()]).toEqual([200, 'by link']);
    expect((await fetch(down, { method: 'DELETE' })).status).toBe(403);
    expect((await fetch(`${down}x`)).status).toBe(403);
    const digest = createHash('sha256').update('other').digest('hex');
    const wrong = { 'x-amz-content-sha256': digest };
    const refused = await fetch(up, { method: 'PUT', body: 'by link', headers: wrong });
    expect([refused.status, await refused.text()]).toEqual([
      400,
      expect.stringContaining('XAmzContentSHA256Mismatch'),
    ]);
  });
});
