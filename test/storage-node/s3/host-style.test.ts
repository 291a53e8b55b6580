import { Agent, request } from 'node:http';
import { createHmac } from 'node:crypto';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListBucketsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { expect, onTestFinished, test } from 'vitest';
import type { S3ServerOptions } from '../../../examples/storage-node/src/s3/s3-server.ts';
import { MemoryNode, md5Hex } from '../support/memory-node.ts';
import { openWorld } from '../support/s3-world.ts';
import { KEY, send } from '../support/signed-request.ts';

const DOMAIN = 's3.lan';

/** A client that has the bucket in the host name, as SDKs do by default. Any name is this host. */
async function open(options: Partial<S3ServerOptions> = {}) {
  const node = new MemoryNode();
  const world = await openWorld(options, node);
  for (const name of ['photos', 'backup', 'empty']) await node.createBucket(name);
  const httpAgent = new Agent({
    lookup: (_, { all }, found) => {
      if (all === true) found(null, [{ address: '127.0.0.1', family: 4 }]);
      else found(null, '127.0.0.1', 4);
    },
  });
  const { port } = new URL(world.url);
  const client = new S3Client({
    endpoint: `http://${DOMAIN}:${port}`,
    region: 'us-east-1',
    credentials: KEY,
    maxAttempts: 1,
    requestHandler: { httpAgent },
  });
  onTestFinished(async () => {
    client.destroy();
    httpAgent.destroy();
    await world.close();
  });
  const namesIn = async (bucket: string): Promise<string[]> =>
    (await node.list(bucket)).objects.map(({ name }) => name);
  /** By path, whatever the host is called. */
  const ask = (method: string, target: string, headers: Record<string, string> = {}) =>
    send(world.url, { method, target, headers });
  return { client, node, world, port, namesIn, ask };
}

test('without a domain, a request with its bucket in the host name changes no other bucket', async () => {
  const { client, node, namesIn } = await open();
  const [Bucket, Body] = ['photos', 'hello'];
  const refused = { name: 'InvalidRequest', message: expect.stringContaining('forcePathStyle') };
  for (const command of [
    new PutObjectCommand({ Bucket, Key: 'backup/a.txt', Body }),
    new PutObjectCommand({ Bucket, Key: 'marker.txt', Body: '' }),
    new DeleteObjectCommand({ Bucket, Key: 'empty' }),
    new ListObjectsV2Command({ Bucket }),
    new ListObjectsCommand({ Bucket }),
    new ListObjectsCommand({ Bucket, Delimiter: '/' }),
    // The host name says nothing: there is no such bucket.
    new PutObjectCommand({ Bucket: 'none', Key: 'marker.txt', Body: '' }),
    new CopyObjectCommand({ Bucket: 'none', Key: 'copy', CopySource: 'photos/a' }),
    new DeleteObjectCommand({ Bucket: 'none', Key: 'empty' }),
    new ListObjectsV2Command({ Bucket: 'none' }),
    new ListObjectsCommand({ Bucket: 'none', Delimiter: '/' }),
  ]) {
    await expect(client.send(command as PutObjectCommand)).rejects.toMatchObject(refused);
  }
  const create = client.send(new CreateBucketCommand({ Bucket: 'another' }));
  await expect(create).rejects.toMatchObject({ name: 'MethodNotAllowed' });
  expect(node.buckets().map(({ name }) => name)).toEqual(['photos', 'backup', 'empty']);
  expect([await namesIn('photos'), await namesIn('backup')]).toEqual([[], []]);
  expect((await client.send(new ListBucketsCommand())).Buckets).toHaveLength(3);
});

test.each([
  ['PUT', '/marker.txt', { 'x-amz-copy-source': '/photos/a' }],
  ['PUT', '/marker.txt', { 'x-amz-meta-a': 'b' }],
  ['PUT', '/marker.txt', { 'if-none-match': '*' }],
  ['PUT', '/marker.txt?x-id=PutObject', {}],
  ['PUT', '/marker.txt', { 'x-amz-checksum-crc32': 'AAAAAA==' }],
  ['PUT', '/marker.txt', { 'x-amz-sdk-checksum-algorithm': 'CRC32' }],
  ['PUT', '/marker.txt', { 'x-amz-storage-class': 'STANDARD' }],
  ['DELETE', '/empty?x-id=DeleteObject', {}],
  ['GET', '/?location=', {}],
  ['GET', '/?versions=', {}],
])(
  '%s %s with %o is of an object: it creates and deletes no bucket',
  async (method, target, headers) => {
    const { ask, node } = await open();
    expect(await ask(method, target, headers as Record<string, string>)).toMatchObject({
      status: 400,
      code: 'InvalidRequest',
    });
    expect(node.buckets()).toHaveLength(3);
  },
);

test('a setting of a bucket may have a checksum: it is no object', async () => {
  const { ask } = await open();
  const headers = { 'x-amz-checksum-crc32': 'AAAAAA==' };
  const answer = await ask('PUT', '/photos?versioning=', headers);
  expect(answer).toMatchObject({ status: 501, code: 'NotImplemented' });
});

test('a host name that is no bucket, and an address, leave the bucket in the path', async () => {
  const { world } = await open();
  for (const host of ['s3.lan', 'localhost', '127.0.0.1:9000', '[::1]', 'photos', 'a.photos.lan']) {
    const headers = { host };
    const put = { method: 'PUT', target: '/photos/a', headers };
    expect(await send(world.url, put), host).toMatchObject({ status: 200 });
  }
  for (const host of ['photos.lan', 'photos.lan.:9000', 'PHOTOS.s3.lan', 'photos.localhost']) {
    const put = { method: 'PUT', target: '/photos/a', headers: { host } };
    expect(await send(world.url, put), host).toMatchObject({ status: 400 });
  }
});

test('with a domain, the bucket is what stands before it in the host name', async () => {
  const { client, node, namesIn } = await open({ domains: ['lan', DOMAIN.toUpperCase()] });
  const [Bucket, Body] = ['photos', 'hello'];
  await client.send(new PutObjectCommand({ Bucket, Key: 'backup/a.txt', Body }));
  await client.send(new PutObjectCommand({ Bucket, Key: 'marker.txt', Body: '' }));
  await client.send(new PutObjectCommand({ Bucket, Key: '/é //x', Body }));
  await client.send(
    new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: 'photos/marker.txt' }),
  );
  const large = Buffer.alloc(6_000_000, 'x');
  const done = await new Upload({ client, params: { Bucket, Key: 'large', Body: large } }).done();
  expect(done.Location).toMatch(/^http:\/\/photos\.s3\.lan:\d+\/large$/);
  const names = ['/é //x', 'backup/a.txt', 'copy', 'large', 'marker.txt'];
  expect(await namesIn('photos')).toEqual(names);
  const listed = await client.send(new ListObjectsV2Command({ Bucket }));
  expect(listed.Contents?.map(({ Key }) => Key)).toEqual(names);
  const got = await client.send(new GetObjectCommand({ Bucket, Key: '/é //x' }));
  expect(await got.Body?.transformToString()).toBe('hello');
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'copy' }));
  const Delete = { Objects: [{ Key: 'large' }, { Key: 'marker.txt' }] };
  await client.send(new DeleteObjectsCommand({ Bucket, Delete }));
  expect(await namesIn('photos')).toEqual(['/é //x', 'backup/a.txt']);
  await client.send(new CreateBucketCommand({ Bucket: 'a.b' }));
  await client.send(new HeadBucketCommand({ Bucket: 'a.b' }));
  await client.send(new DeleteBucketCommand({ Bucket: 'empty' }));
  const missing = client.send(new PutObjectCommand({ Bucket: 'none', Key: 'backup/a', Body }));
  await expect(missing).rejects.toMatchObject({ name: 'NoSuchBucket' });
  expect(node.buckets().map(({ name }) => name)).toEqual(['photos', 'backup', 'a.b']);
  expect(await namesIn('backup')).toEqual([]);
  expect((await client.send(new ListBucketsCommand())).Buckets).toHaveLength(3);
});

test('with a domain, its own name and addresses have the bucket in the path; others are refused', async () => {
  const { world, node, namesIn } = await open({ domains: [DOMAIN] });
  await node.createBucket('s3');
  const put = (host: string, target: string) =>
    send(world.url, { method: 'PUT', target, headers: { host } });
  for (const host of [DOMAIN, `${DOMAIN}:9000`, '127.0.0.1', 'localhost', '[::1]:9000']) {
    expect(await put(host, '/photos/a'), host).toMatchObject({ status: 200 });
  }
  for (const host of ['photos.other.lan', 'other.lan', 'lan.', `x${DOMAIN}`]) {
    const answer = await put(host, '/backup/a');
    expect(answer.status, host).toBe(host === 'lan.' ? 200 : 400);
  }
  expect(await put(`.${DOMAIN}`, '/backup/b')).toMatchObject({ code: 'InvalidBucketName' });
  expect([await namesIn('photos'), await namesIn('backup')]).toEqual([['a'], ['a']]);
});

test('with a domain, links and signatures of version 2 name the bucket by the host', async () => {
  const { client, node, port, world } = await open({ domains: [DOMAIN] });
  const describe = () => ({ etag: md5Hex(Buffer.from('hello')), meta: { headers: {} } });
  await node.put('photos', 'a b', [Buffer.from('hello')], { describe });
  const link = new URL(
    await getSignedUrl(client, new GetObjectCommand({ Bucket: 'photos', Key: 'a b' })),
  );
  expect(link.host).toBe(`photos.${DOMAIN}:${port}`);
  const get = (target: string, headers: Record<string, string>) =>
    new Promise<number | undefined>((resolve, reject) => {
      // The headers are those of the link alone: without a signature of their own.
      request(world.url + target, { headers }, ({ statusCode }) => resolve(statusCode))
        .on('error', reject)
        .end();
    });
  expect(await get(link.pathname + link.search, { host: link.host })).toBe(200);
  const date = new Date().toUTCString();
  const toSign = `GET\n\n\n${date}\n/photos/a%20b`;
  const signature = createHmac('sha1', KEY.secretAccessKey).update(toSign).digest('base64');
  const authorization = `AWS ${KEY.accessKeyId}:${signature}`;
  expect(await get('/a%20b', { host: link.host, date, authorization })).toBe(200);
  const other = `backup.${DOMAIN}`;
  expect(await get('/a%20b', { host: other, date, authorization })).toBe(403);
});
