import { expect, test } from 'vitest';
import * as s3 from '@aws-sdk/client-s3';
import { openWorld } from '../support/s3-world.ts';

test('smoke', async () => {
  const w = await openWorld();
  const c = w.client;
  await c.send(new s3.CreateBucketCommand({ Bucket: 'bucket' }));
  const put = await c.send(
    new s3.PutObjectCommand({
      Bucket: 'bucket',
      Key: 'a b/ü+&.txt',
      Body: 'hello',
      Metadata: { x: 'y' },
    }),
  );
  expect(put.ETag).toBe('"5d41402abc4b2a76b9719d911017c592"');
  const got = await c.send(new s3.GetObjectCommand({ Bucket: 'bucket', Key: 'a b/ü+&.txt' }));
  expect(await got.Body!.transformToString()).toBe('hello');
  expect(got.Metadata).toEqual({ x: 'y' });
  const list = await c.send(new s3.ListObjectsV2Command({ Bucket: 'bucket', Delimiter: '/' }));
  expect(list.CommonPrefixes).toEqual([{ Prefix: 'a b/' }]);
  await w.close();
});
