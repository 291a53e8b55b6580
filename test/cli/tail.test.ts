import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { MetadataStore } from '../../src/index.ts';
import { LEASE_NAME, LOCK_NAME, logName } from '../../src/format/file-name.ts';
import { fingerprint, runCli } from '../support/cli.ts';
import { put } from '../support/feed.ts';
import { flipByte } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { programPath } from '../support/program.ts';

const OPTIONS = { mergeBytes: 2 ** 40, retain: { bytes: 2 ** 30 } };
const MAIN = programPath('main');

/** Batches 1 and 2 are merged, 3 to 5 are not; 4 and 5 form one group. */
async function filled(): Promise<{ directory: string; store: MetadataStore }> {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, OPTIONS);
  await store.insertBatch(put(1, 10, 'one'));
  await store.insertBatch([{ type: 'del', key: 1 }, ...put(2, 20)]);
  await store.merge();
  await store.insertBatch(put(2 ** 53 - 1, 30));
  await Promise.all([store.insertBatch(put(4, 40)), store.insertBatch(put(5, 50))]);
  return { directory, store };
}

const LINES = [
  '1 put 1 10 3',
  '2 del 1',
  '2 put 2 20 0',
  '3 put 9007199254740991 30 0',
  '4 put 4 40 0',
  '5 put 5 50 0',
];

/**
 * Ignores what a running store changes: its lease, its notes for followers, and the log that it
 * prepares after log 2.
 */
async function fingerprintAtRest(directory: string): Promise<string[]> {
  const lines = await fingerprint(directory);
  const touched = [LEASE_NAME, LOCK_NAME, logName(3)];
  return lines.filter((line) => !touched.some((name) => line.includes(name)));
}

test('tail prints the batches in the logs beside a running store and changes nothing', async () => {
  const { directory, store } = await filled();
  const before = await fingerprintAtRest(directory);
  expect(before).toHaveLength(4);
  const all = await runCli(['tail', directory]);
  expect(all).toEqual({ code: 0, err: '', out: `${LINES.join('\n')}\n` });
  expect((await runCli(['tail', '--after', '0', directory])).out).toBe(all.out);
  for (const [after, from] of [
    [1, 1],
    [2, 3],
    [4, 5],
    [5, 6],
  ] as const) {
    const { code, out } = await runCli(['tail', '--after', `${after}`, directory]);
    expect({ code, lines: out.split('\n').slice(0, -1) }).toEqual({
      code: 0,
      lines: LINES.slice(from),
    });
  }
  expect(await fingerprintAtRest(directory)).toEqual(before);
  await store.close();
  expect((await runCli(['tail', directory])).out).toBe(all.out);
});

test('tail prints data only on request; --json prints one object per batch', async () => {
  const { directory, store } = await filled();
  expect((await runCli(['tail', '--data', directory])).out).toContain('1 put 1 10 3 6f6e65\n');
  const { out } = await runCli(['tail', '--json', directory]);
  const objects = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  expect(objects).toHaveLength(5);
  expect(objects[1]).toEqual({
    sequence: '2',
    updates: [
      { type: 'del', key: '1' },
      { type: 'put', key: '2', value: '20', dataLength: 0 },
    ],
  });
  expect(out).not.toContain('data"');
  expect((await runCli(['tail', '--json', '--data', directory])).out).toContain('"data":"6f6e65"');
  await store.close();
});

test('tail continues from log to log, also after one that a crash left without a seal', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, { ...OPTIONS, rotateBytes: 65_536 });
  const data = new Uint8Array(45_000);
  let last = 0;
  while (store.stats().logs.count < 4) {
    crypto.getRandomValues(data);
    await store.insertBatch([{ type: 'put', key: ++last, value: 1, data }]);
  }
  // As after a crash: the last log has no seal.
  const crashed = await temporaryDirectory();
  for (const name of await readdir(directory)) {
    if (/^(log|snapshot)_/.test(name)) await copyFile(join(directory, name), join(crashed, name));
  }
  await store.close();
  const again = await MetadataStore.open(crashed, OPTIONS);
  await again.insertBatch(put(++last, 1));
  const { out } = await runCli(['tail', crashed]);
  expect(out.match(/^\d+/gm)).toEqual(Array.from({ length: last }, (_, i) => `${i + 1}`));
  await again.close();
});

test('an expired position and one after the end are errors', async () => {
  const { directory, store } = await filled();
  await store.close();
  await rm(join(directory, logName(1)));
  const passed = await runCli(['tail', '--after', '1', directory]);
  expect(passed).toMatchObject({ code: 4, out: '' });
  expect(passed.err).toMatch(/position 1 cannot be followed .* is 2/);
  expect((await runCli(['tail', directory])).out).toBe(`${LINES.slice(3).join('\n')}\n`);
  const ahead = await runCli(['tail', '--after', '6', directory]);
  expect(ahead).toMatchObject({ code: 4, out: '' });
  expect(ahead.err).toMatch(/the last batch is 5/);
});

test('tail gives exit codes for damage, wrong usage and a missing store', async () => {
  const { directory, store } = await filled();
  await store.close();
  await flipByte(directory, logName(1), 180);
  expect(await runCli(['tail', directory])).toMatchObject({
    code: 1,
    err: expect.stringContaining('damaged at offset') as string,
  });
  expect((await runCli(['tail', '--after', '-1', directory])).code).toBe(2);
  expect((await runCli(['tail'])).code).toBe(2);
  expect((await runCli(['tail', join(directory, 'none')])).code).toBe(4);
  expect((await runCli(['tail', await temporaryDirectory()])).code).toBe(4);
  const help = await runCli(['tail', '--help']);
  expect(help.code).toBe(0);
  expect(help.out).toMatch(/Example:\n {2}lodestore tail /);
});

test('tail finds damage in the last log of a store that was not closed', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, OPTIONS);
  for (let key = 1; key <= 5; key++) await store.insertBatch(put(key, key));
  const crashed = async (): Promise<string> => {
    const copy = await temporaryDirectory();
    for (const name of await readdir(directory)) {
      if (/^(log|snapshot)_/.test(name)) await copyFile(join(directory, name), join(copy, name));
    }
    return copy;
  };
  const [whole, inHeader, inFrame] = [await crashed(), await crashed(), await crashed()];
  await store.close();
  expect((await runCli(['tail', whole])).out.match(/^\d+/gm)).toEqual(['1', '2', '3', '4', '5']);
  await flipByte(inHeader, logName(1), 60);
  const { out } = await runCli(['inspect', '--json', '--frames', whole]);
  const { files } = JSON.parse(out) as { files: { frameList?: { offset: number }[] }[] };
  const offsets = files.flatMap(({ frameList = [] }) => frameList.map(({ offset }) => offset));
  await flipByte(inFrame, logName(1), offsets.at(-3)! + 50);
  for (const [damaged, printed] of [
    [inHeader, ''],
    [inFrame, '1 put 1 1 0\n2 put 2 2 0\n'],
  ] as const) {
    for (const options of [[], ['--follow']]) {
      const told = await runCli(['tail', ...options, damaged]);
      expect([told.code, told.out]).toEqual([1, printed]);
      expect(told.err).toMatch(/a later frame, at offset \d+, proves that it had been synced/);
    }
    expect((await runCli(['verify', damaged])).code).toBe(1);
  }
});

test('--follow prints new batches across rotations and merges until Ctrl-C', async () => {
  const { directory, store } = await filled();
  const child = spawn(process.execPath, [MAIN, 'tail', '--follow', directory], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  let complaint = '';
  child.stderr.on('data', (text: Buffer) => {
    complaint += String(text);
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => ((await lines.next()) as { value: string }).value;
  for (const line of LINES) expect(await next()).toBe(line);
  await store.insertBatch(put(6, 60));
  expect(await next()).toBe('6 put 6 60 0');
  await store.merge();
  await store.insertBatch(put(7, 70));
  expect(await next()).toBe('7 put 7 70 0');
  child.kill('SIGINT');
  expect(await exited).toEqual([130, null]);
  expect(complaint).toBe('lodestore: interrupted\n');
  await store.close();
});
