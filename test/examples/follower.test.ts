import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
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
