import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { get, put, startNode } from './support/node-in-process.ts';

const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Bytes that do not repeat at any power of two. */
const pattern = (lengthBytes: number) =>
  Uint8Array.from({ length: lengthBytes }, (_, i) => i % 251);

describe('PUT', () => {
  test('makes an object and replaces it', async () => {
    const { url } = await startNode();
    const made = await put(url, 'a/b', 'first');
    expect(made.status).toBe(201);
    expect(made.headers.get('etag')).toBe(`"${sha256('first')}"`);
    expect((await put(url, 'a/b', 'second')).status).toBe(200);
    expect(await get(url, 'a/b')).toBe('second');
  });

  test('takes an object of unknown length, across appends and volumes', async () => {
    const { url, volumes } = await startNode({ volumeBytes: 1_500_000 });
    const bytes = pattern(5_000_001);
    const outgoing = request(`${url}/objects/large`, { method: 'PUT' });
    outgoing.write(bytes.subarray(0, 3_000_000));
    outgoing.end(bytes.subarray(3_000_000));
    const [response] = await once(outgoing, 'response');
    expect(response.statusCode).toBe(201);
    response.resume();
    const stored = await (await fetch(`${url}/objects/large`)).arrayBuffer();
    expect(Buffer.compare(Buffer.from(stored), bytes)).toBe(0);
    expect((await volumes.stats()).created).toBeGreaterThan(2);
    for (const [from, to] of [
      [0, 1],
      [1_048_570, 1_048_590],
      [999_999, 4_999_999],
    ] as const) {
      const headers = { range: `bytes=${from}-${to - 1}` };
      const part = await (await fetch(`${url}/objects/large`, { headers })).arrayBuffer();
      expect(Buffer.compare(Buffer.from(part), bytes.subarray(from, to))).toBe(0);
    }
  });

  test('stores an empty object', async () => {
    const { url } = await startNode();
    expect((await put(url, 'empty', '')).status).toBe(201);
    expect(await get(url, 'empty')).toBe('');
  });

  test.each([
    ['content-md5', createHash('md5').update('right').digest('base64')],
    ['x-checksum-sha256', sha256('right')],
    ['x-checksum-sha256', Buffer.from(sha256('right'), 'hex').toString('base64')],
  ])('verifies %s: %s', async (header, checksum) => {
    const { url } = await startNode();
    const headers = { [header]: checksum };
    const send = (body: string) => fetch(`${url}/objects/x`, { method: 'PUT', headers, body });
    const refused = await send('wrong');
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({
      error: { code: 'checksum-mismatch', outcome: 'not-applied' },
    });
    expect(await get(url, 'x')).toBe(404);
    expect((await send('right')).status).toBe(201);
  });

  test('refuses a checksum that is none', async () => {
    const { url } = await startNode();
    const headers = { 'content-md5': 'AAAA' };
    const response = await fetch(`${url}/objects/x`, { method: 'PUT', headers, body: 'x' });
    expect(await response.json()).toMatchObject({ error: { code: 'bad-checksum' } });
  });

  test.each(['announced', 'chunked'])('refuses an object over the limit (%s)', async (kind) => {
    const { url } = await startNode({ maxObjectBytes: 1000 });
    const headers = kind === 'announced' ? { 'content-length': 1001 } : {};
    const outgoing = request(`${url}/objects/x`, { method: 'PUT', headers });
    // The answer comes, and arrives, although the body has no end yet.
    outgoing.write(pattern(kind === 'announced' ? 1000 : 1001));
    const [response] = await once(outgoing, 'response');
    expect(response.statusCode).toBe(413);
    outgoing.end(kind === 'announced' ? 'x' : undefined);
    response.resume();
    await once(response, 'end');
    expect(await get(url, 'x')).toBe(404);
    expect((await put(url, 'x', 'y'.repeat(1000))).status).toBe(201);
  });

  test('lets in no more uploads than it has memory for', async () => {
    const { url } = await startNode({ maxUploads: 1 });
    const slow = request(`${url}/objects/slow`, {
      method: 'PUT',
      headers: { expect: '100-continue' },
    });
    slow.flushHeaders();
    await once(slow, 'continue');
    const refused = await put(url, 'x', 'x');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    slow.end('done');
    const [response] = await once(slow, 'response');
    response.resume();
    expect((await put(url, 'x', 'x')).status).toBe(201);
  });

  test.each(['content-length: 100', 'transfer-encoding: chunked'])(
    'an aborted upload leaves the former object, and nothing in the list (%s)',
    async (header) => {
      const { url, server, objects } = await startNode();
      await put(url, 'kept', 'former');
      const body = header.includes('chunked') ? '5\r\nhello\r\n' : 'hello';
      for (const name of ['kept', 'new']) {
        const { port } = new URL(url);
        const socket = connect(Number(port), '127.0.0.1');
        const arrived = once(server, 'request');
        socket.write(`PUT /objects/${name} HTTP/1.1\r\nhost: x\r\n${header}\r\n\r\n${body}`);
        const [incoming, response] = await arrived;
        const gone = once(response, 'close');
        socket.destroy();
        await gone;
        expect(incoming.complete).toBe(false);
      }
      expect(objects.size).toBe(1);
      expect(await get(url, 'kept')).toBe('former');
      expect(await get(url, 'new')).toBe(404);
      const metrics = await (await fetch(`${url}/metrics`)).text();
      expect(metrics).toContain('requests_total{method="PUT",status="aborted"} 2\n');
    },
  );
});

describe('GET', () => {
  test.each([
    ['bytes=2-4', 206, 'cde', 'bytes 2-4/10'],
    ['bytes=8-', 206, 'ij', 'bytes 8-9/10'],
    ['bytes=8-99', 206, 'ij', 'bytes 8-9/10'],
    ['bytes=-3', 206, 'hij', 'bytes 7-9/10'],
    ['bytes=-99', 206, 'abcdefghij', 'bytes 0-9/10'],
    ['bytes=0-0', 206, 'a', 'bytes 0-0/10'],
    ['bytes=10-', 416, undefined, 'bytes */10'],
    ['bytes=-0', 416, undefined, 'bytes */10'],
    ['bytes=4-2', 200, 'abcdefghij', null],
    ['bytes=-', 200, 'abcdefghij', null],
    ['bytes=0-1,3-4', 200, 'abcdefghij', null],
    ['lines=0-1', 200, 'abcdefghij', null],
  ])('Range: %s gives %i', async (range, status, text, contentRange) => {
    const { url } = await startNode();
    await put(url, 'letters', 'abcdefghij');
    const response = await fetch(`${url}/objects/letters`, { headers: { range } });
    expect(response.status).toBe(status);
    expect(response.headers.get('content-range')).toBe(contentRange);
    if (text !== undefined) expect(await response.text()).toBe(text);
  });

  test('gives the whole object when If-Range names another version', async () => {
    const { url } = await startNode();
    const etag = (await put(url, 'x', 'abc')).headers.get('etag') ?? '';
    const part = (condition: string) =>
      fetch(`${url}/objects/x`, { headers: { range: 'bytes=0-0', 'if-range': condition } });
    expect(await (await part(etag)).text()).toBe('a');
    expect(await (await part('"other"')).text()).toBe('abc');
  });

  test('HEAD tells what GET would', async () => {
    const { url } = await startNode();
    const headers = { 'content-type': 'text/plain; charset=utf-8' };
    await fetch(`${url}/objects/x`, { method: 'PUT', headers, body: 'abc' });
    const head = await fetch(`${url}/objects/x`, { method: 'HEAD' });
    expect(Object.fromEntries(head.headers)).toMatchObject({
      'content-length': '3',
      'content-type': 'text/plain; charset=utf-8',
      'accept-ranges': 'bytes',
      etag: `"${sha256('abc')}"`,
    });
    expect((await fetch(`${url}/objects/y`, { method: 'HEAD' })).status).toBe(404);
  });
});

test('DELETE removes an object once', async () => {
  const { url } = await startNode();
  await put(url, 'x', 'abc');
  const remove = () => fetch(`${url}/objects/x`, { method: 'DELETE' });
  expect((await remove()).status).toBe(204);
  expect((await remove()).status).toBe(404);
  expect(await get(url, 'x')).toBe(404);
});

describe('names', () => {
  test.each(['a%20b%2Fc', '%C3%BC/%F0%9F%98%80', 'a//b', 'x'.repeat(1024), '...', '%0A'])(
    'takes %s',
    async (name) => {
      const { url, objects } = await startNode();
      expect((await put(url, name, 'abc')).status).toBe(201);
      expect(objects.find(decodeURIComponent(name))?.lengthBytes).toBe(3);
    },
  );

  test.each(['', '%FF', '%', 'a%00b', 'x'.repeat(1025), 'a%2F..%2Fb', '.%2Fa'])(
    'refuses %j',
    async (name) => {
      const { url } = await startNode();
      const response = await put(url, name, 'abc');
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { code: 'bad-name' } });
    },
  );
});
