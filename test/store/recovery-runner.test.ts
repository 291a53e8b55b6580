import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Directory } from '../../src/fs/directory.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { logName } from '../../src/format/file-name.ts';
import { MetadataStore } from '../../src/index.ts';
import { ThreadPool } from '../../src/threads/thread-pool.ts';
import { chooseRunner } from '../../src/store/open/recovery-runner.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const THREADS = 3;

/** The number of concurrent jobs when a directory is opened whose only log has this size. */
async function parallelismFor(logBytes: number, threads: number = THREADS): Promise<number> {
  const directory = await temporaryDirectory();
  const path = join(directory, logName(1));
  await writeFile(path, '');
  await truncate(path, logBytes);
  const held = await Directory.open(nodeFileSystem, directory);
  const runner = await chooseRunner(held, { threads }, undefined, (error) => {
    throw error;
  });
  await runner.close();
  await held.close();
  expect(runner instanceof ThreadPool).toBe(logBytes >= inlineBytes && threads > 1);
  return runner.parallelism;
}

/** The bytes that this thread handles alone. */
let inlineBytes = 32 * 1024 * 1024;

const LARGE_BYTES = 64 * 1024 * 1024;

test('this thread takes part and handles small logs alone', async () => {
  expect(await parallelismFor(LARGE_BYTES)).toBe(THREADS);
  expect(await parallelismFor(LARGE_BYTES, 2)).toBe(2);
  expect(await parallelismFor(LARGE_BYTES, 1)).toBe(1);
  expect(await parallelismFor(LARGE_BYTES / 16)).toBe(1);
});

test('this thread leaves the work to others while a store is open', async () => {
  inlineBytes = 256 * 1024;
  const one = await MetadataStore.open(await temporaryDirectory());
  const other = await MetadataStore.open(await temporaryDirectory());
  expect(await parallelismFor(LARGE_BYTES)).toBe(THREADS - 1);
  // One thread is enough for little work, and this thread for very little.
  expect(await parallelismFor(LARGE_BYTES / 16)).toBe(1);
  expect(await parallelismFor(1_000)).toBe(1);
  expect(await parallelismFor(LARGE_BYTES, 1)).toBe(1);
  await one.close();
  await one.close();
  expect(await parallelismFor(LARGE_BYTES)).toBe(THREADS - 1);
  await other.close();
  inlineBytes = 32 * 1024 * 1024;
  expect(await parallelismFor(LARGE_BYTES)).toBe(THREADS);
});
