import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { md5Hex } from '../support/memory-node.ts';
import { openWorld } from '../support/s3-world.ts';
import { KEY, signHeaders } from '../support/signed-request.ts';

const WRONG_KEY = { ...KEY, secretAccessKey: 'x'.repeat(20) };

test.each([
  ['a bucket that does not exist', 'PUT', '/none/key', {}, KEY, 404, 'NoSuchBucket'],
  ['a wrong key', 'PUT', '/bucket/key', {}, WRONG_KEY, 403, 'SignatureDoesNotMatch'],
  [
    'a condition',
    'PUT',
    '/bucket/stored',
    { 'if-none-match': '*' },
    KEY,
    412,
    'PreconditionFailed',
  ],
  ['a HEAD with a body', 'HEAD', '/none/key', {}, KEY, 404, 'NoSuchBucket'],
] as const)(
  'an upload refused for %s is logged with its status if the client closes at once',
  async (_, method, target, further, key, status, error) => {
    const world = await openWorld();
    onTestFinished(() => world.close());
    await world.node.createBucket('bucket');
    const describe = () => ({ etag: md5Hex(Buffer.from('x')), meta: { headers: {} } });
    await world.node.put('bucket', 'stored', [Buffer.from('x')], { describe });
    const { host, port } = new URL(world.url);
    const asked = { method, target, contentSha256: 'UNSIGNED-PAYLOAD', key };
    const headers = {
      ...signHeaders(host, asked),
      expect: '100-continue',
      'content-length': '3000000',
      ...further,
    };
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const socket = connect(Number(port), '127.0.0.1');
    await once(socket, 'connect');
    socket.write(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`);
    let answer = '';
    while (!answer.includes(method === 'HEAD' ? '\r\n\r\n' : '</Error>')) {
      const [bytes] = (await once(socket, 'data')) as [Buffer];
      answer += bytes.toString();
    }
    socket.destroy();
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    await expect.poll(() => world.entries).toMatchObject([{ status, error }]);
    const [counted] = world.server.stats.operations.values();
    expect(counted?.requests).toEqual(new Map([[status, 1]]));
  },
);
