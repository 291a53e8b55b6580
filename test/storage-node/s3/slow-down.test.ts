import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { bytesOf, expectSame, get, openNode } from '../support/nodes.ts';
import { openWorld } from '../support/s3-world.ts';
import { answerOf, send, signHeaders } from '../support/signed-request.ts';

const QUEUE_BYTES = 64 * 1024;
/** What is left in memory of the first body, after two extents of 64 KiB. */
const HELD_BYTES = 180_000 - 2 * 64 * 1024;

/** A PUT whose body stops after `head`, until it is ended. */
function slowPut(url: string, target: string, body: Buffer): ClientRequest {
  const { host } = new URL(url);
  const headers = signHeaders(host, { method: 'PUT', target, body });
  return request(`${url}${target}`, {
    method: 'PUT',
    headers: { ...headers, 'content-length': String(body.length) },
  });
}

test('a full queue answers 503 SlowDown with Retry-After, and the next try is stored', async () => {
  const node = await openNode(await temporaryDirectory(), {
    queueBytes: QUEUE_BYTES,
    maxWaiting: 0,
  });
  await node.createBucket('b');
  const world = await openWorld({}, node);
  onTestFinished(() => world.close());
  const [first, second] = [bytesOf(180_001), bytesOf(60_000)];
  const slow = slowPut(world.url, '/b/first', first);
  const answered = once(slow, 'response') as Promise<[IncomingMessage]>;
  slow.write(first.subarray(0, 180_000));
  while ((await node.figures()).writes.queuedBytes !== HELD_BYTES) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const put = { method: 'PUT', target: '/b/second', body: second };
  const refused = await send(world.url, put);
  expect(refused).toMatchObject({ status: 503, code: 'SlowDown', headers: { 'retry-after': '1' } });
  // Reads and deletes are not refused.
  expect(await send(world.url, { method: 'GET', target: '/b/second' })).toMatchObject({
    status: 404,
  });
  expect(await send(world.url, { method: 'DELETE', target: '/b/x' })).toMatchObject({
    status: 204,
  });
  slow.end(first.subarray(180_000));
  const [response] = await answered;
  expect(await answerOf(response)).toMatchObject({ status: 200 });
  expect(await send(world.url, put)).toMatchObject({ status: 200 });
  expectSame(await get(node, 'b', 'first'), first);
  expectSame(await get(node, 'b', 'second'), second);
  expect(world.entries.filter(({ status }) => status === 503)).toHaveLength(1);
});
