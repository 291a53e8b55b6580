import { createHash } from 'node:crypto';
import {
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { expect, onTestFinished, test } from 'vitest';
import { MemoryNode } from '../support/memory-node.ts';
import { openWorld } from '../support/s3-world.ts';
import { presign, send } from '../support/signed-request.ts';

const Bucket = 'bucket';
const SOON = { expiresIn: 60 };

async function open() {
  const node = new MemoryNode();
  await node.createBucket(Bucket);
  const world = await openWorld({}, node);
  onTestFinished(() => world.close());
  const { client, url } = world;
  const get = (target: string) => send(url, { method: 'GET', target });
  /** PUT by a link that has further parameters in its query, already encoded. */
  const putBy = (target: string, query: readonly string[], body: string) =>
    told(url + presign(new URL(url).host, 'PUT', target, 60, undefined, query), body);
  return { node, client, url, get, putBy };
}

/** Status and error code of a PUT by a link. */
async function told(link: string, body?: string): Promise<[number, string | undefined]> {
  const answer = await fetch(link, { method: 'PUT', ...(body !== undefined && { body }) });
  return [answer.status, /<Code>(\w+)<\/Code>/.exec(await answer.text())?.[1]];
}

test('a link for a copy copies', async () => {
  const { client, get } = await open();
  await client.send(new PutObjectCommand({ Bucket, Key: 'source', Body: 'its bytes' }));
  const copy = new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/source` });
  expect(await told(await getSignedUrl(client, copy, SOON))).toEqual([200, undefined]);
  expect((await get('/bucket/copy')).body).toBe('its bytes');
  const none = new CopyObjectCommand({ Bucket, Key: 'source', CopySource: `${Bucket}/none` });
  expect(await told(await getSignedUrl(client, none, SOON))).toEqual([404, 'NoSuchKey']);
  expect((await get('/bucket/source')).body).toBe('its bytes');
});

test('an object by a link has the metadata and the tags that are signed into the link', async () => {
  const { client } = await open();
  const object = { Bucket, Key: 'key' };
  const put = new PutObjectCommand({ ...object, Metadata: { a: 'b' }, Tagging: 't=u%20v' });
  expect(await told(await getSignedUrl(client, put, SOON), 'x')).toEqual([200, undefined]);
  expect((await client.send(new HeadObjectCommand(object))).Metadata).toEqual({ a: 'b' });
  const { TagSet } = await client.send(new GetObjectTaggingCommand(object));
  expect(TagSet).toEqual([{ Key: 't', Value: 'u v' }]);
});

test('what the node does not support is refused in a link too', async () => {
  const { client, node, putBy } = await open();
  for (const [asked, refusal] of [
    [{ ACL: 'public-read' }, [400, 'AccessControlListNotSupported']],
    [{ StorageClass: 'GLACIER' }, [400, 'InvalidStorageClass']],
    [{ ObjectLockLegalHoldStatus: 'ON' }, [501, 'NotImplemented']],
    [{ ExpectedBucketOwner: 'another' }, [403, 'AccessDenied']],
  ] as const) {
    const put = new PutObjectCommand({ Bucket, Key: 'key', ...asked });
    expect(await told(await getSignedUrl(client, put, SOON), 'x'), refusal[1]).toEqual(refusal);
  }
  // Other signers write the names as this.
  expect(await putBy('/bucket/key', ['X-Amz-Acl=public-read'], 'x')).toEqual([
    400,
    'AccessControlListNotSupported',
  ]);
  expect(await node.info(Bucket, 'key')).toBeUndefined();
});

test('a checksum that is signed into a link binds its holder', async () => {
  const { client, node } = await open();
  const ChecksumSHA256 = createHash('sha256').update('right').digest('base64');
  for (const checksum of [{ ChecksumSHA256 }, { ChecksumCRC32: 'tMp1FA==' }]) {
    const put = new PutObjectCommand({ Bucket, Key: 'key', ...checksum });
    const link = await getSignedUrl(client, put, SOON);
    expect(await told(link, 'wrong')).toEqual([400, 'BadDigest']);
    expect(await node.info(Bucket, 'key')).toBeUndefined();
  }
  const put = new PutObjectCommand({ Bucket, Key: 'key', ChecksumSHA256 });
  expect(await told(await getSignedUrl(client, put, SOON), 'right')).toEqual([200, undefined]);
});

test('the checksum of no body, which an SDK signs into links for PUT, takes any body', async () => {
  const { client, get } = await open();
  const object = { Bucket, Key: 'key' };
  const link = await getSignedUrl(client, new PutObjectCommand(object), SOON);
  expect(link).toContain('x-amz-checksum-crc32=AAAAAA%3D%3D');
  expect(await told(link, 'any')).toEqual([200, undefined]);
  expect((await get('/bucket/key')).body).toBe('any');
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(object));
  const part = new UploadPartCommand({ ...object, UploadId, PartNumber: 1 });
  expect(await told(await getSignedUrl(client, part, SOON), 'any')).toEqual([200, undefined]);
});

test('parameters that cannot be headers, or that differ from another, are refused', async () => {
  const { node, url, get, putBy } = await open();
  const refused = [400, 'InvalidArgument'];
  expect(await putBy('/bucket/key', ['x-amz-meta-a=%0D%0Ab'], 'x')).toEqual(refused);
  expect(await putBy('/bucket/key', ['x-amz-meta-%0Aa=b'], 'x')).toEqual(refused);
  expect(await putBy('/bucket/key', ['x-amz-meta-a=1', 'x-amz-meta-a=2'], 'x')).toEqual(refused);
  const put = { method: 'PUT', target: '/bucket/key?x-amz-acl=private', body: 'x' };
  const differs = await send(url, { ...put, headers: { 'x-amz-acl': 'public-read' } });
  expect([differs.status, differs.code]).toEqual(refused);
  expect(await node.info(Bucket, 'key')).toBeUndefined();
  expect(await putBy('/bucket/key', ['x-amz-meta-a=%C3%BC'], 'x')).toEqual([200, undefined]);
  const { headers } = await get('/bucket/key');
  expect(Buffer.from(String(headers['x-amz-meta-a']), 'latin1').toString()).toBe('ü');
});
