import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { MetadataStore, WriteBatch } from '../../src/index.ts';
import { buildPackage } from '../support/built-package.ts';
import { fingerprint } from '../support/cli.ts';
import { closedStore, flipByte } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

let home = '';
let main = '';

beforeAll(async () => {
  home = await buildPackage();
  const { bin } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8')) as {
    bin: { lodestore: string };
  };
  main = join(home, bin.lodestore);
});

afterAll(() => rm(home, { recursive: true, force: true }));

/** Runs the program without the options of the test runner. */
function start(argv: readonly string[]): ChildProcessByStdio<null, Readable, Readable> {
  const env = { ...process.env };
  delete env['NODE_OPTIONS'];
  const child = spawn(process.execPath, [main, ...argv], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

async function runBin(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = start(argv);
  let out = '';
  let err = '';
  child.stdout.on('data', (text) => (out += String(text)));
  child.stderr.on('data', (text) => (err += String(text)));
  const [code] = (await once(child, 'close')) as [number];
  return { code, out, err };
}

test('the program file of the package is executable', async () => {
  expect(await readFile(main, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
});

test('the program finds its thread entry: a merge runs on a thread', async () => {
  const directory = await closedStore();
  expect(await runBin('merge', directory)).toMatchObject({ code: 0, err: '' });
});

test('exit codes 0, 1, 2 and 4; the report on stdout, the error on stderr', async () => {
  const directory = await closedStore();
  const sound = await runBin('verify', directory);
  expect(sound).toMatchObject({ code: 0, err: '' });
  expect(sound.out).toContain('No damage found.');
  await flipByte(directory, 'log_0000000000000002', 200);
  const before = await fingerprint(directory);
  for (const command of ['inspect', 'verify', 'dump']) {
    const damaged = await runBin(command, directory);
    expect(damaged.code).toBe(1);
    expect(damaged.err).toMatch(
      /^lodestore: .*log_0000000000000002 is damaged at offset 128: .*\n$/,
    );
  }
  expect(await fingerprint(directory)).toEqual(before);
  expect((await runBin('dump', '--nonsense', directory)).code).toBe(2);
  expect((await runBin('inspect', join(directory, 'missing'))).code).toBe(4);
});

async function largeStore(): Promise<string> {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  const batch = new WriteBatch();
  for (let key = 0; key < 100_000; key++) batch.put(key, key + 1);
  await store.insertBatch(batch);
  await store.close();
  return directory;
}

test('a reader that closes the pipe early causes no error', async () => {
  const child = start(['dump', await largeStore()]);
  let err = '';
  child.stderr.on('data', (text) => (err += String(text)));
  const [first] = (await once(child.stdout, 'data')) as [Buffer];
  expect(String(first)).toMatch(/^0 1 0\n1 2 0\n/);
  child.stdout.destroy();
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  expect([code, signal, err]).toEqual([0, null, '']);
});

test('Ctrl-C interrupts a dump', async () => {
  const child = start(['dump', await largeStore()]);
  let err = '';
  child.stderr.on('data', (text) => (err += String(text)));
  await once(child.stdout, 'data');
  // The pipe is full and its reader is paused, so the dump cannot end before the signal arrives.
  child.stdout.pause();
  child.kill('SIGINT');
  child.stdout.resume();
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  expect([code, signal]).toEqual([130, null]);
  expect(err).toBe('lodestore: interrupted\n');
});

test('a store large enough for threads is dumped completely', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, { mergeBytes: 1 << 30 });
  const data = new Uint8Array(1 << 20);
  let state = 1;
  for (let i = 0; i < data.length; i++) {
    state = Math.imul(state, 1_103_515_245) + 12_345;
    data[i] = state >>> 16;
  }
  for (let key = 0; key < 30; key++)
    await store.insertBatch([{ type: 'put', key, value: 1, data }]);
  await store.close();
  const { code, out, err } = await runBin('dump', directory);
  expect([code, err]).toEqual([0, '']);
  expect(out).toBe(Array.from({ length: 30 }, (_, key) => `${key} 1 1048576\n`).join(''));
});
