import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { Readable } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import {
  BodyMemory,
  BodyShare,
} from '../../../examples/storage-node/src/s3/payload/body-memory.ts';
import { BodyReader } from '../../../examples/storage-node/src/s3/payload/body-reader.ts';
import { openWorld } from '../support/s3-world.ts';
import { answerOf, KEY, send, signHeaders, type SignedRequest } from '../support/signed-request.ts';

const LIMIT = 150_000;
const XML = `<Delete>${'<Object><Key>a</Key></Object>'.repeat(900)}</Delete>`;

async function open() {
  const world = await openWorld({ limits: { maxBodyMemoryBytes: LIMIT } });
  onTestFinished(() => world.close());
  await world.node.createBucket('bucket');
  const ask = (method: string, target: string, rest: Partial<SignedRequest> = {}) =>
    send(world.url, { method, target, ...rest });
  /** A request whose last byte is missing until it is ended. */
  const begin = (method: string, target: string, body: string, key = KEY): ClientRequest => {
    const headers = signHeaders(new URL(world.url).host, { method, target, body, key });
    const length = { 'content-length': String(body.length) };
    const outgoing = request(world.url + target, { method, headers: { ...headers, ...length } });
    outgoing.write(body.slice(0, -1));
    return outgoing;
  };
  return { world, ask, begin };
}

async function responseOf(outgoing: ClientRequest) {
  return answerOf(((await once(outgoing, 'response')) as [IncomingMessage])[0]);
}

test.each([
  ['bodies that are gathered', 'PUT', '/bucket/first', 'x'.repeat(100_000)],
  // The text besides its pieces.
  ['XML', 'POST', '/bucket?delete=', XML],
])('%s of all connections are limited: 503 SlowDown, until one is done', async (...given) => {
  const [, method, target, body] = given;
  const { world, ask, begin } = await open();
  const slow = begin(method, target, body);
  const answered = responseOf(slow);
  await expect.poll(() => world.server.stats.inFlight).toBe(1);
  const put = (length: number) => ask('PUT', '/bucket/a', { body: 'x'.repeat(length) });
  await expect.poll(async () => (await put(125_000)).code).toBe('SlowDown');
  expect(await put(125_000)).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
  // What has no body, and what fits, is served.
  expect(await ask('GET', '/bucket/none')).toMatchObject({ status: 404 });
  expect(await put(20_000)).toMatchObject({ status: 200 });
  slow.end(body.slice(-1));
  expect(await answered).toMatchObject({ status: 200 });
  expect(await put(125_000)).toMatchObject({ status: 200 });
});

test('requests without a valid signature, and clients that go, take none of it', async () => {
  const { world, ask, begin } = await open();
  const body = 'x'.repeat(120_000);
  const put = () => ask('PUT', '/bucket/a', { body });
  for (let i = 0; i < 3; i++) {
    const stranger = begin('PUT', '/bucket/b', body, { ...KEY, secretAccessKey: 'x'.repeat(20) });
    stranger.on('error', () => {});
    expect(await responseOf(stranger)).toMatchObject({ code: 'SignatureDoesNotMatch' });
    expect(await put()).toMatchObject({ status: 200 });
    stranger.destroy();
  }
  const gone = begin('PUT', '/bucket/b', body);
  gone.on('error', () => {});
  await expect.poll(async () => (await put()).status).toBe(503);
  gone.destroy();
  await expect.poll(async () => (await put()).status).toBe(200);
  expect(world.server.stats.inFlight).toBe(0);
});

test('a body that nobody reads is paused once the memory is full, and goes on when it is read', async () => {
  const memory = new BodyMemory(100_000);
  const readers = [1, 2].map(() => {
    const source = Object.assign(new Readable({ read: () => {} }), { complete: false });
    const share = new BodyShare(memory);
    return { source, share, reader: new BodyReader(source, Date.now, undefined, share) };
  });
  const [one, other] = readers as [(typeof readers)[0], (typeof readers)[0]];
  const arrive = async ({ source }: typeof one): Promise<void> => {
    source.push(Buffer.alloc(60_000));
    await new Promise((resolve) => setImmediate(resolve));
  };
  await arrive(one);
  expect([one.source.isPaused(), memory.isFull]).toEqual([false, false]);
  await arrive(other);
  expect([one.source.isPaused(), other.source.isPaused()]).toEqual([false, true]);
  expect(memory.usedBytes).toBe(120_000);
  expect(await other.reader.next()).toHaveLength(60_000);
  expect([other.source.isPaused(), memory.usedBytes]).toEqual([false, 60_000]);
  one.share.close();
  expect(memory.usedBytes).toBe(0);
  await arrive(one);
  other.reader.fail(new Error('cut'));
  expect(memory.usedBytes).toBe(0);
});
