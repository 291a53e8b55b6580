import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import {
  createS3Server,
  type S3ServerOptions,
} from '../../../examples/storage-node/src/s3/s3-server.ts';
import { MemoryNode, md5Hex } from '../support/memory-node.ts';
import { expectSame } from '../support/nodes.ts';
import { openWorld } from '../support/s3-world.ts';
import { KEY, requestText, send } from '../support/signed-request.ts';

const GET = { method: 'GET', target: '/bucket/key' };
/** Of a body in chunks. */
const CHUNKED_HEAD = 'PUT /bucket/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n';

async function open(options: Partial<S3ServerOptions> = {}, node = new MemoryNode()) {
  await node.createBucket('bucket');
  const world = await openWorld(options, node);
  onTestFinished(() => world.close());
  return { world, node, url: world.url };
}

async function store(node: MemoryNode, bytes: Uint8Array): Promise<void> {
  const describe = () => ({ etag: md5Hex(bytes), meta: { headers: {} } });
  await node.put('bucket', 'key', [bytes], { describe });
}

async function connected(url: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** Reads until the server closes the connection. */
async function readAll(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  socket.on('data', (piece: Buffer) => pieces.push(piece));
  if (!socket.closed) await once(socket, 'close');
  return Buffer.concat(pieces);
}

test('requests that are sent at once run one after another', async () => {
  const { url, world } = await open();
  const socket = await connected(url);
  const target = '/bucket/key';
  socket.write(
    requestText(url, { method: 'PUT', target, body: 'stored' }) +
      requestText(url, GET) +
      requestText(url, { method: 'DELETE', target }) +
      requestText(url, { ...GET, headers: { connection: 'close' } }),
  );
  const answers = await text(socket);
  expect(answers.match(/(?<=HTTP\/1\.1 )\d+/g)).toEqual(['200', '200', '204', '404']);
  expect(answers).toContain('\r\n\r\nstored');
  await expect.poll(() => world.entries.map(({ status }) => status)).toEqual([200, 200, 204, 404]);
});

test('no request of a connection that has closed stays unfinished', async () => {
  const { url, world, node } = await open();
  await store(node, Buffer.alloc(30_000_000));
  const socket = await connected(url);
  socket.write(requestText(url, GET).repeat(3));
  await once(socket, 'readable');
  socket.destroy();
  await expect.poll(() => world.entries.map(({ status }) => status)).toEqual([499, 499, 499]);
  expect([world.server.stats.inFlight, node.openReaders]).toEqual([0, 0]);
});

test('a request behind one that ends the connection is not run', async () => {
  const { url, world, node } = await open();
  await store(node, Buffer.from('stays'));
  const socket = await connected(url);
  const remove = { method: 'DELETE', target: '/bucket/key' };
  const last = { ...GET, headers: { connection: 'close' } };
  socket.write(requestText(url, last) + requestText(url, remove));
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 .*stays$/s);
  await expect.poll(() => world.entries.map(({ status }) => status)).toEqual([200]);
  expect(await node.info('bucket', 'key')).toBeDefined();
});

test('a client that sends too many requests before it has responses is disconnected', async () => {
  const { url, world } = await open();
  const socket = await connected(url);
  socket.write(requestText(url, GET).repeat(100));
  await readAll(socket);
  await expect.poll(() => world.server.stats.inFlight).toBe(0);
});

test('bytes that are no request put nothing into a response that is being sent', async () => {
  const { url, node } = await open();
  const stored = Buffer.alloc(30_000_000, 'x');
  await store(node, stored);
  const socket = await connected(url);
  socket.write(requestText(url, GET));
  await once(socket, 'readable');
  socket.write('\0garbage\r\n\r\n');
  // The server has seen it before this is answered.
  expect(await send(url, { method: 'GET', target: '/bucket/none' })).toMatchObject({ status: 404 });
  const received = await readAll(socket);
  expectSame(received.subarray(received.indexOf('\r\n\r\n') + 4), stored);
});

test.each([
  ['no request', 'garbage\r\n\r\n', [200]],
  ['a request with a broken body', `${CHUNKED_HEAD}garbage\r\n`, [499, 200]],
])('a request is answered before the connection ends because of %s', async (_, rest, statuses) => {
  const { url, world } = await open();
  const socket = await connected(url);
  const put = { method: 'PUT', target: '/bucket/key', body: 'stored' };
  socket.write(requestText(url, put) + rest);
  const answers = (await readAll(socket)).toString();
  expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200']);
  await expect.poll(() => world.entries.map(({ status }) => status)).toEqual(statuses);
});

test.each([
  ['nonsense', 'nonsense\r\n\r\n', 400],
  ['headers that are too long', `GET / HTTP/1.1\r\na: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
  ['extensions of a chunk that are too long', `${CHUNKED_HEAD}5;${'x'.repeat(20_000)}`, 413],
  ['headers that do not end', 'DELETE /bucket/key HTTP/1.1\r\nhost: x\r\n', 408],
])('%s: the status says so, and the connection ends', async (_, sent, status) => {
  const { url } = await open(status === 408 ? { limits: { headersTimeoutMs: 50 } } : {});
  const socket = await connected(url);
  socket.write(sent);
  const line = new RegExp(`^HTTP/1\\.1 ${status} `);
  expect((await readAll(socket)).toString()).toMatch(line);
});

/** Enough for connections that never get as far as the certificate. */
const NO_CERTIFICATE = { certificate: '', key: '' };

async function openTls(headersTimeoutMs: number, maxConnections = 100) {
  const server = createS3Server(new MemoryNode(), {
    keys: [KEY],
    tls: NO_CERTIFICATE,
    limits: { headersTimeoutMs, maxConnections },
  });
  return { server, url: await server.listen() };
}

test('a connection that does not finish its TLS handshake is closed', async () => {
  const { server, url } = await openTls(50);
  await readAll(await connected(url));
  await expect.poll(() => server.stats.connections).toBe(0);
  await server.close(0);
});

test('a connection in its TLS handshake does not outlast the grace period of a stop', async () => {
  const { server, url } = await openTls(3_600_000);
  const socket = await connected(url);
  await expect.poll(() => server.stats.connections).toBe(1);
  await server.close(0);
  await readAll(socket);
});

test('a stop closes connections without a request at once, and lets a request end', async () => {
  const { world, url } = await open();
  const silent = await connected(url);
  const begun = await connected(url);
  begun.write('GET /bucket/key HT');
  const used = await connected(url);
  used.write(requestText(url, GET));
  await once(used, 'data');
  const busy = await connected(url);
  const [head = '', body = ''] = requestText(url, {
    method: 'PUT',
    target: '/bucket/key',
    body: 'stored',
  }).split('stored');
  busy.write(`${head}stor`);
  await expect.poll(() => world.server.stats.inFlight).toBe(1);
  const stopped = world.server.close(30_000);
  await Promise.all([silent, begun, used].map(readAll));
  await expect.poll(() => world.server.stats.connections).toBe(1);
  busy.write(`ed${body}`);
  expect((await readAll(busy)).toString()).toMatch(/^HTTP\/1\.1 200 /);
  await stopped;
});

test('a stop closes a connection in its TLS handshake at once', async () => {
  const { server, url } = await openTls(3_600_000);
  const socket = await connected(url);
  await expect.poll(() => server.stats.connections).toBe(1);
  await server.close(3_600_000);
  await readAll(socket);
});

test('a connection stays open after a response for longer than proxies keep it', async () => {
  const { url } = await open();
  const answer = await send(url, { ...GET, headers: { connection: 'keep-alive' } });
  expect(answer.headers['keep-alive']).toBe('timeout=75');
});

test('silent connections keep nobody out, and close none that clients use', async () => {
  let nowMs = 0;
  const monotonicMs = (): number => nowMs;
  const { world, url } = await open({ limits: { maxConnections: 5 }, monotonicMs });
  const used = await connected(url);
  used.write(requestText(url, GET));
  await once(used, 'data');
  const busy = await connected(url);
  const put = requestText(url, { method: 'PUT', target: '/bucket/key', body: 'stored' });
  busy.write(put.slice(0, -1));
  await expect.poll(() => world.server.stats.inFlight).toBe(1);
  const silent = await Promise.all([1, 2, 3].map(() => connected(url)));
  await expect.poll(() => world.server.stats.connections).toBe(5);
  nowMs = 1001;
  const late = [await connected(url), await connected(url)];
  await Promise.all(silent.slice(0, 2).map(readAll));
  expect(await send(url, GET)).toMatchObject({ status: 404 });
  await readAll(silent[2]!);
  for (const socket of [used, ...late]) {
    socket.write(requestText(url, GET));
    await once(socket, 'data');
  }
  busy.write(put.slice(-1));
  const [answer] = (await once(busy, 'data')) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 /);
});

test('clients that come at once find room; if all others are busy, a new one is closed', async () => {
  const { world, url } = await open({ limits: { maxConnections: 8 } });
  const waiting = await Promise.all(Array.from({ length: 8 }, () => connected(url)));
  for (const socket of waiting) socket.write(requestText(url, GET));
  await Promise.all(waiting.map((socket) => once(socket, 'data')));
  const busy = await Promise.all(Array.from({ length: 8 }, () => connected(url)));
  const put = requestText(url, { method: 'PUT', target: '/bucket/key', body: 'stored' });
  for (const socket of busy) socket.write(put.slice(0, -1));
  await expect.poll(() => world.server.stats.inFlight).toBe(8);
  await Promise.all(waiting.map(readAll));
  await readAll(await connected(url));
  expect(world.server.stats.inFlight).toBe(8);
});

test('a connection in its TLS handshake makes room for others', async () => {
  const { server, url } = await openTls(3_600_000, 2);
  const sockets = [await connected(url), await connected(url), await connected(url)];
  await readAll(sockets[0]!);
  await expect.poll(() => server.stats.connections).toBe(2);
  await server.close(0);
});
