import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createConnection, type AddressInfo, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { serveChanges } from '../../examples/follower/leader.mjs';
import { KIND, messageOf, messagesOf, positionBody } from '../../examples/follower/wire.mjs';
import { MetadataStore } from '../../src/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const PROGRAM = fileURLToPath(new URL('../../examples/follower/main.mjs', import.meta.url));
const HOOK = new URL('./support/register-lodestore.mjs', import.meta.url).href;

async function demonstrate(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: {
      ...process.env,
      TMPDIR: await temporaryDirectory(),
      NODE_OPTIONS: `--import ${HOOK}`,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
  const [code] = (await once(child, 'close')) as [number];
  return { code, out, err };
}

test('leader and follower are killed at random and have equal contents in the end', async () => {
  const { code, out, err } = await demonstrate('--kills', '8');
  expect(err).toBe('');
  expect(out.match(/^kill \d of 8: the (leader|follower)$/gm)).toHaveLength(8);
  const [, led] = /^leader: {3}(.*)$/m.exec(out) ?? [];
  const [, followed] = /^follower: (.*)$/m.exec(out) ?? [];
  expect(followed).toBe(led);
  expect(led).toMatch(/^[0-9a-f]{32}, \d+ records after [1-9]\d* batches$/);
  expect(out.endsWith('the same\n')).toBe(true);
  expect(code).toBe(0);
}, 120_000);

test('wrong usage is refused', async () => {
  expect(await demonstrate('--kills', 'many')).toMatchObject({ code: 2, out: '' });
});

test('a connection collects no listeners while it waits for the network', async () => {
  const store = await MetadataStore.open(await temporaryDirectory());
  onTestFinished(() => store.close());
  // Larger than the buffer of a socket, so that each write waits.
  const data = crypto.getRandomValues(new Uint8Array(60_000));
  for (let key = 1; key <= 30; key++) await store.put(key, key, data);
  const server = serveChanges(store, 'not used', () => undefined);
  let served: Socket | undefined;
  server.on('connection', (socket: Socket) => {
    served = socket;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const follower = createConnection((server.address() as AddressInfo).port, '127.0.0.1');
  onTestFinished(() => void follower.destroy());
  follower.write(messageOf(KIND.follow, positionBody(0n)));
  let received = 0;
  for await (const messages of messagesOf(follower)) {
    received += messages.length;
    if (received < 30) continue;
    expect(served?.listenerCount('close')).toBeLessThan(10);
    break;
  }
  expect(received).toBe(30);
});
