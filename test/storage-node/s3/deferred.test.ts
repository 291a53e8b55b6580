import { expect, onTestFinished, test } from 'vitest';
import { createAdminServer } from '../../../examples/storage-node/src/admin/admin-server.ts';
import { MACHINE, StorageNode } from '../../../examples/storage-node/src/storage-node.ts';
import { CrashFs } from '../../../src/testing/index.ts';
import { bytesOf, etagOf, SMALL } from '../support/nodes.ts';
import { openWorld } from '../support/s3-world.ts';
import { send } from '../support/signed-request.ts';

test('over S3: served from the write buffer, 503 when it cannot be written, shown in the metrics', async () => {
  const files = new CrashFs();
  const options = { ...SMALL, writeBufferMs: 0 };
  const node = await StorageNode.open('/node', options, { ...MACHINE, files });
  await node.createBucket('d', { mode: 'keep', acknowledge: 'deferred' });
  const world = await openWorld({}, node);
  const admin = createAdminServer({ node, s3: world.server.stats });
  const adminUrl = await admin.listen();
  onTestFinished(async () => {
    await admin.close();
    await world.close();
    await node.close();
  });
  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`${adminUrl}/metrics`)).text();
    return Number(new RegExp(`^lodestore_node_write_buffer_${name} (\\S+)$`, 'm').exec(text)![1]);
  };
  const body = bytesOf(1_000);
  const headers = { 'x-amz-meta-a': 'b', 'content-type': 'text/plain' };
  const put = { method: 'PUT', target: '/d/a', body, headers };
  const stored = await send(world.url, put);
  expect(stored).toMatchObject({ status: 200, headers: { etag: `"${etagOf(body)}"` } });
  expect([await metric('puts'), await metric('flushes_total')]).toEqual([1, 0]);
  expect(await metric('bytes')).toBeGreaterThan(1_000);
  const served = {
    status: 200,
    headers: { ...headers, etag: `"${etagOf(body)}"`, 'content-length': '1000' },
  };
  expect(await send(world.url, { method: 'HEAD', target: '/d/a' })).toMatchObject(served);
  expect(await send(world.url, { method: 'GET', target: '/d/a' })).toMatchObject(served);
  // A copy reads from the buffer, and is durable itself.
  const copy = { method: 'PUT', target: '/d/copy', headers: { 'x-amz-copy-source': '/d/a' } };
  expect(await send(world.url, copy)).toMatchObject({ status: 200 });
  expect([await metric('puts'), await metric('acknowledged_total')]).toEqual([0, 1]);
  await send(world.url, put);
  files.faults.add({ call: 'dataSync', error: 'EIO', path: /\.vol$/, mode: 'sticky' });
  await expect(node.flush()).rejects.toMatchObject({ code: 'BUSY' });
  const refused = await send(world.url, { ...put, target: '/d/b' });
  expect(refused).toMatchObject({ status: 503, code: 'SlowDown', headers: { 'retry-after': '1' } });
  expect(await send(world.url, { method: 'GET', target: '/d/a' })).toMatchObject(served);
  expect([await metric('failed_flushes_total'), await metric('failing_buckets')]).toEqual([1, 1]);
  files.faults.clear();
  await node.flush();
  expect(await send(world.url, { ...put, target: '/d/b' })).toMatchObject({ status: 200 });
  expect(await metric('failing_buckets')).toBe(0);
  const list = await send(world.url, { method: 'GET', target: '/d' });
  expect(list.body.match(/<Key>[^<]*/g)).toEqual(['<Key>a', '<Key>b', '<Key>copy']);
});
