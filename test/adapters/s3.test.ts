import { S3Client } from '@aws-sdk/client-s3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { S3Checkpoints } from '../../src/adapters/s3/s3-checkpoints.ts';
import { checkpointStoreConformance } from '../../src/testing/index.ts';
import { BucketServer } from '../support/engines/bucket-server.ts';

async function makeServer(): Promise<{ server: BucketServer; client: S3Client }> {
  const server = await BucketServer.start();
  const client = new S3Client({
    endpoint: server.url,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: 'a', secretAccessKey: 's' },
  });
  onTestFinished(async () => {
    client.destroy();
    await server.stop();
  });
  return { server, client };
}

const MIB = 1024 * 1024;

function bytesOf(
  lengthBytes: number,
  fails?: Error,
): { sizeBytes: number; read: () => AsyncGenerator<Uint8Array> } {
  return {
    sizeBytes: lengthBytes,
    async *read() {
      for (let from = 0; from < lengthBytes; from += MIB) {
        if (fails !== undefined && from > lengthBytes / 2) throw fails;
        const length = Math.min(MIB, lengthBytes - from);
        yield await Promise.resolve(new Uint8Array(length).fill(from / MIB));
      }
    },
  };
}

describe('a bucket is a checkpoint store', () => {
  const cases = checkpointStoreConformance(async () => {
    const { client } = await makeServer();
    return {
      open: () => Promise.resolve(new S3Checkpoints({ client, bucket: 'b', prefix: 'p/q/' })),
    };
  });
  test.each(cases)('$name', async ({ run }) => expect(run()).resolves.toBeUndefined());
});

test('a large object is uploaded in parts, and a failed upload leaves no parts', async () => {
  const { server, client } = await makeServer();
  const store = new S3Checkpoints({ client, bucket: 'b' });
  await store.put('large', bytesOf(35 * MIB));
  expect(server.objects.get('large')!.length).toBe(35 * MIB);
  expect([...server.objects.get('large')!.subarray(34 * MIB, 34 * MIB + 2)]).toEqual([34, 34]);
  const failure = new Error('the source failed');
  await expect(store.put('half', bytesOf(40 * MIB, failure))).rejects.toBe(failure);
  server.failing = /partNumber=2/;
  const expected = { name: 'CheckpointStoreError', reason: 'unavailable' };
  await expect(store.put('other', bytesOf(40 * MIB))).rejects.toMatchObject(expected);
  expect([...server.objects.keys()]).toEqual(['large']);
  expect(server.unfinishedUploads).toBe(0);
});

test('a failing server gives an error of the store', async () => {
  const { server, client } = await makeServer();
  const store = new S3Checkpoints({ client, bucket: 'b' });
  server.failing = /./;
  const expected = { name: 'CheckpointStoreError', reason: 'unavailable' };
  await expect(store.put('one', bytesOf(1))).rejects.toMatchObject(expected);
  await expect(store.get('one').next()).rejects.toMatchObject(expected);
  await expect(store.list('').next()).rejects.toMatchObject(expected);
  await expect(store.delete('one')).rejects.toMatchObject(expected);
  await store.close();
  await expect(store.delete('one')).rejects.toThrow('closed');
});

test('invalid options are refused', async () => {
  const { client } = await makeServer();
  const wrong = [
    { bucket: 'b' },
    { client },
    { client, bucket: '' },
    { client, bucket: 'b', prefix: 'no-slash' },
    { client, bucket: 'b', prefix: '/' },
    { client, bucket: 'b', region: 'r' },
  ];
  for (const options of wrong) expect(() => new S3Checkpoints(options as never)).toThrow(/options/);
});
