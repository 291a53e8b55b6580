import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { Client as MinioClient, CopyConditions } from 'minio';
import { S3mini } from 's3mini';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type OpenNode, STORAGE_NODES } from '../support/both-nodes.ts';
import { md5Hex } from '../support/memory-node.ts';
import { mixedBytes } from '../support/mixed-bytes.ts';
import { openWorld, type S3World } from '../support/s3-world.ts';
import { KEY } from '../support/signed-request.ts';

const MIB = 2 ** 20;
describe.each(STORAGE_NODES)('against %s', (_name, open) => {
  let opened: OpenNode;
  let world: S3World;
  beforeAll(async () => {
    opened = await open();
    world = await openWorld({}, opened.node);
  });
  afterAll(async () => {
    await world.close();
    await opened.close();
  });

  describe('the client of MinIO', () => {
    const bucket = 'by-minio';
    let client: MinioClient;
    beforeAll(() => {
      const { hostname, port } = new URL(world.url);
      client = new MinioClient({
        endPoint: hostname,
        port: Number(port),
        useSSL: false,
        accessKey: KEY.accessKeyId,
        secretKey: KEY.secretAccessKey,
      });
    });
    const read = async (name: string): Promise<Buffer> =>
      buffer(await client.getObject(bucket, name));
    const list = async (prefix: string): Promise<unknown[]> =>
      client.listObjectsV2(bucket, prefix, true, '').toArray();

    test('manages buckets', async () => {
      expect(await client.bucketExists(bucket)).toBe(false);
      await client.makeBucket(bucket, 'eu-central-1');
      expect(await client.bucketExists(bucket)).toBe(true);
      expect((await client.listBuckets()).map(({ name }) => name)).toContain(bucket);
    });

    test('stores small and empty objects, streams and metadata, and reads ranges', async () => {
      await client.putObject(bucket, 'small', 'hello', 5, { 'X-Amz-Meta-One': '1' });
      expect((await read('small')).toString()).toBe('hello');
      const stat = await client.statObject(bucket, 'small');
      expect([stat.size, stat.metaData['one'], stat.etag]).toEqual([
        5,
        '1',
        md5Hex(Buffer.from('hello')),
      ]);
      await client.putObject(bucket, 'empty', '');
      expect(await read('empty')).toHaveLength(0);
      const part = await buffer(await client.getPartialObject(bucket, 'small', 1, 3));
      expect(part.toString()).toBe('ell');
      await expect(client.statObject(bucket, 'none')).rejects.toMatchObject({ code: 'NotFound' });
    });

    test('uploads a stream of unknown length in parts', async () => {
      const body = mixedBytes(11 * MIB);
      await client.putObject(
        bucket,
        'large/one',
        Readable.from([body.subarray(0, MIB), body.subarray(MIB)]),
      );
      expect(md5Hex(await read('large/one'))).toBe(md5Hex(body));
      expect((await client.statObject(bucket, 'large/one')).etag).toMatch(/-1$/);
      await client.copyObject(bucket, 'large/two', `/${bucket}/large/one`, new CopyConditions());
      expect(md5Hex(await read('large/two'))).toBe(md5Hex(body));
      expect(await list('large/')).toMatchObject([{ name: 'large/one' }, { name: 'large/two' }]);
    });

    test('uses presigned links, tags and bulk deletes', async () => {
      const link = await client.presignedGetObject(bucket, 'small', 60);
      expect(await (await fetch(link)).text()).toBe('hello');
      const up = await client.presignedPutObject(bucket, 'linked', 60);
      expect((await fetch(up, { method: 'PUT', body: 'x' })).status).toBe(200);
      await client.setObjectTagging(bucket, 'small', { a: 'b' });
      expect(await client.getObjectTagging(bucket, 'small')).toEqual([{ Key: 'a', Value: 'b' }]);
      await client.removeObjectTagging(bucket, 'small', { versionId: 'null' });
      expect(await client.getObjectTagging(bucket, 'small')).toEqual([]);
      const names = (await list('')).map((one) => (one as { name: string }).name);
      await client.removeObjects(bucket, names);
      expect(await list('')).toEqual([]);
      await client.removeBucket(bucket);
    });
  });

  describe('s3mini', () => {
    let client: S3mini;
    beforeAll(() => {
      client = new S3mini({ ...KEY, endpoint: `${world.url}/by-s3mini`, region: 'auto' });
    });

    test('manages buckets, objects and listings', async () => {
      expect(await client.bucketExists()).toBe(false);
      expect(await client.createBucket()).toBe(true);
      expect(await client.bucketExists()).toBe(true);
      await client.putObject('a/ü b+', 'hello', 'text/x');
      expect(await client.getObject('a/ü b+')).toBe('hello');
      expect(await client.getContentLength('a/ü b+')).toBe(5);
      expect(await client.getEtag('a/ü b+')).toBe(md5Hex(Buffer.from('hello')));
      expect(await client.objectExists('none')).toBe(false);
      await client.putObject('a/empty', '');
      const listed = await client.listObjects('/', 'a/');
      expect(listed?.map(({ Key }) => Key)).toEqual(['a/empty', 'a/ü b+']);
      const range = await client.getObjectRaw('a/ü b+', false, 1, 4);
      expect((await range.text()).startsWith('el')).toBe(true);
    });

    test('uses parts, copies, links and deletes', async () => {
      const body = mixedBytes(6 * MIB);
      const uploadId = await client.getMultipartUploadId('parts');
      const parts = [
        await client.uploadPart('parts', uploadId, body.subarray(0, 5 * MIB), 1),
        await client.uploadPart('parts', uploadId, body.subarray(5 * MIB), 2),
      ];
      await client.completeMultipartUpload('parts', uploadId, parts);
      expect(md5Hex(new Uint8Array((await client.getObjectArrayBuffer('parts'))!))).toBe(
        md5Hex(body),
      );
      await client.copyObject('parts', 'copy');
      expect(await client.getContentLength('copy')).toBe(6 * MIB);
      const link = await client.getPresignedUrl('GET', 'a/empty', 60);
      expect((await fetch(link)).status).toBe(200);
      const all = ['parts', 'copy', 'a/empty', 'a/ü b+'];
      expect(await client.deleteObjects(all)).toEqual([true, true, true, true]);
      expect(await client.listObjects()).toEqual([]);
    });
  });
});
