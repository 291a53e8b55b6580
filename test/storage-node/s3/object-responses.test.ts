import { expect, onTestFinished, test } from 'vitest';
import { MemoryNode, md5Hex } from '../support/memory-node.ts';
import { openWorld } from '../support/s3-world.ts';
import { send } from '../support/signed-request.ts';

const BODY = 'some bytes';
const ETAG = md5Hex(Buffer.from(BODY));

async function open(node = new MemoryNode()) {
  await node.createBucket('bucket');
  const world = await openWorld({}, node);
  onTestFinished(() => world.close());
  const ask = (method: string, target: string, headers: Record<string, string> = {}, body = '') =>
    send(world.url, { method, target, headers, body });
  const kept = { 'cache-control': 'max-age=5', expires: 'Fri, 01 Jan 2100 00:00:00 GMT' };
  await ask('PUT', '/bucket/key', kept, BODY);
  return { world, ask, kept };
}

test('a 304 has the headers of the object that a cache needs', async () => {
  const { ask, kept } = await open();
  const answer = await ask('GET', '/bucket/key', { 'if-none-match': `"${ETAG}"` });
  expect(answer.status).toBe(304);
  expect(answer.headers).toMatchObject({ ...kept, etag: `"${ETAG}"` });
  expect(answer.headers).not.toHaveProperty('accept-ranges');
});

test('a range may end anywhere behind the object', async () => {
  const { ask } = await open();
  const get = (range: string) => ask('GET', '/bucket/key', { range });
  expect(await get('bytes=5-18446744073709551615')).toMatchObject({ status: 206, body: 'bytes' });
  expect(await get(`bytes=-${'9'.repeat(400)}`)).toMatchObject({ status: 206, body: BODY });
  expect(await get(`bytes=${'9'.repeat(400)}-`)).toMatchObject({ status: 416 });
});

test('a part number selects the object without parts as its part, and excludes a range', async () => {
  const { ask } = await open();
  const part = await ask('GET', '/bucket/key?partNumber=1');
  expect(part).toMatchObject({ status: 206, body: BODY });
  expect(part.headers['content-range']).toBe(`bytes 0-${BODY.length - 1}/${BODY.length}`);
  const both = await ask('GET', '/bucket/key?partNumber=1', { range: 'bytes=0-1' });
  expect(both).toMatchObject({ status: 400, code: 'InvalidRequest' });
});

test('a weak ETag fulfils no If-Match', async () => {
  const { ask } = await open();
  const weak = `W/"${ETAG}"`;
  const get = (headers: Record<string, string>) => ask('GET', '/bucket/key', headers);
  expect(await get({ 'if-match': weak })).toMatchObject({ status: 412 });
  expect(await get({ 'if-match': `${weak}, "${ETAG}"` })).toMatchObject({ status: 200 });
  expect(await get({ 'if-none-match': weak })).toMatchObject({ status: 304 });
  const put = await ask('PUT', '/bucket/key', { 'if-match': weak }, 'other');
  expect(put).toMatchObject({ status: 412, code: 'PreconditionFailed' });
});

test('a copy whose source belongs to another owner than expected is refused', async () => {
  const { ask } = await open();
  const source = { 'x-amz-copy-source': '/bucket/key' };
  const other = { ...source, 'x-amz-source-expected-bucket-owner': 'another' };
  expect(await ask('PUT', '/bucket/copy', other)).toMatchObject({ status: 403 });
  expect(await ask('PUT', '/bucket/copy', source)).toMatchObject({ status: 200 });
});

/** It cannot delete one of its objects. */
class StuckNode extends MemoryNode {
  override async delete(...args: Parameters<MemoryNode['delete']>): Promise<boolean> {
    if (args[1] === 'stuck') throw new Error('the disk is gone');
    return super.delete(...args);
  }
}

test('an error of the node for one of several deletes is in the log', async () => {
  const { ask, world } = await open(new StuckNode());
  const remove = (...keys: string[]) => {
    const objects = keys.map((key) => `<Object><Key>${key}</Key></Object>`);
    return ask('POST', '/bucket?delete=', {}, `<Delete>${objects.join('')}</Delete>`);
  };
  const answer = await remove('key', 'stuck');
  expect(answer).toMatchObject({ status: 200, code: 'InternalError' });
  expect(answer.body).toContain('<Deleted><Key>key</Key></Deleted>');
  await expect.poll(() => world.server.stats.recentErrors).toHaveLength(1);
  expect(world.entries.at(-1)).toMatchObject({
    operation: 'DeleteObjects',
    status: 500,
    error: 'InternalError',
    cause: expect.stringContaining('the disk is gone'),
  });
});
