import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const PROGRAM = fileURLToPath(new URL('../../examples/demo/main.mjs', import.meta.url));
const NODE = fileURLToPath(new URL('../../examples/storage-node/src/cli/main.ts', import.meta.url));
const HOOK = new URL('./support/register-lodestore.mjs', import.meta.url).href;

const FILES = 60;

/** A tree with a file of every size from 0 on, a large one, and a link. */
async function makeTree(): Promise<{ directory: string; files: number; bytes: number }> {
  const directory = join(await temporaryDirectory(), 'tree');
  await mkdir(join(directory, 'below', 'ä b%'), { recursive: true });
  let bytes = 0;
  for (let i = 0; i < FILES; i++) {
    const content = Buffer.alloc(i === 0 ? 3_000_000 : (i - 1) * 100, `content ${i} `);
    bytes += content.length;
    await writeFile(join(directory, i % 3 === 0 ? 'below/ä b%' : 'below', `file-${i}`), content);
  }
  await symlink('below', join(directory, 'link'));
  return { directory, files: FILES, bytes };
}

async function runDemo(
  args: readonly string[],
): Promise<{ exitCode: number | null; output: string }> {
  const temporary = await temporaryDirectory();
  const child = spawn(process.execPath, ['--import', HOOK, PROGRAM, ...args], {
    env: { ...process.env, TMPDIR: temporary, LODESTORE_NODE_PROGRAM: NODE },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const closed = once(child, 'close');
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
  await closed;
  expect(await readdir(temporary)).toEqual([]);
  return { exitCode: child.exitCode, output: output + errors };
}

/** The number in the report's line that starts with `label`. */
function figure(output: string, label: string): number {
  const match = new RegExp(`^${label} +([\\d,.]+)$`, 'm').exec(output);
  return Number(match?.[1]?.replaceAll(',', ''));
}

test('the demo stores, is killed, and reports its counts', async () => {
  const { directory, files, bytes } = await makeTree();
  const { exitCode, output } = await runDemo(['--kills', '1', '--in-flight', '8', directory]);
  expect(output).toContain(
    `Nothing lost: ${files} objects are equal to their sources, byte for byte.`,
  );
  expect(exitCode).toBe(0);
  expect(output).toContain('skipped: 1 symbolic links');
  expect(figure(output, 'objects stored')).toBe(files);
  expect(figure(output, 'bytes stored')).toBe(bytes);
  expect(figure(output, 'objects equal to their source')).toBe(files);
  expect(figure(output, 'bytes compared')).toBe(bytes);
  expect(figure(output, 'objects in the node')).toBe(files);
  expect(figure(output, 'kills survived')).toBe(1);
  const kills = [...output.matchAll(/^ +\d+ +(\d+) +(\d+) +(\d+) +(\d+) +[\d.]+$/gm)];
  expect(kills).toHaveLength(1);
  for (const [, acknowledged, , recovered, unanswered] of kills) {
    expect(Number(recovered)).toBe(Number(acknowledged) + Number(unanswered));
    expect(Number(acknowledged)).toBeGreaterThanOrEqual(FILES / 3);
  }
});

test('the demo fails if one bit is changed', async () => {
  const { directory, files } = await makeTree();
  const { exitCode, output } = await runDemo(['--kills', '0', '--damage', directory]);
  const name = /^--damage: .* inside (.*)$/m.exec(output)?.[1];
  expect(output).toContain(`problems: 1\n  ${name}: `);
  expect(output).toContain('FAILED');
  expect(output).not.toContain('Nothing lost');
  expect(figure(output, 'objects equal to their source')).toBe(files - 1);
  expect(exitCode).toBe(1);
});

test('the demo says when it does not store the whole tree', async () => {
  const { directory } = await makeTree();
  const { exitCode, output } = await runDemo(['--kills', '0', '--max-files', '5', directory]);
  expect(output).toContain('the tree holds more: 5 files and');
  expect(figure(output, 'objects stored')).toBe(5);
  expect(exitCode).toBe(0);
});

test('the demo explains its arguments', async () => {
  const { exitCode, output } = await runDemo(['--kills', 'x']);
  expect(exitCode).toBe(2);
  expect(output).toContain(
    "--kills must be an integer from 0 to 1000, not 'x'\nusage: npm run demo",
  );
});
