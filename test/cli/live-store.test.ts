import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inspect } from '../../src/cli/inspect.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { MetadataStore } from '../../src/index.ts';
import { runCli, runOn } from '../support/cli.ts';
import { closedStore, insertBatches, SMALL_LOGS } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const ROUNDS = 12;
/** Batches at most beside the commands of one round. */
const BESIDE = 200;

test('every command sees whole batches and no damage while a store writes, rotates and merges', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, { rotateBytes: 64 * 1024 });
  await insertBatches(store, 0, 50);
  let acknowledged = 50;
  const write = async (signal: AbortSignal): Promise<void> => {
    for (let more = 0; more < BESIDE && !signal.aborted; more++) {
      await insertBatches(store, acknowledged, acknowledged + 1);
      acknowledged++;
    }
  };
  let stop = new AbortController();
  let writing = Promise.resolve();
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const promised = acknowledged;
      stop = new AbortController();
      writing = write(stop.signal);
      // Half of the rounds read while a merge replaces files, however slow the machine is.
      const merging = round % 2 === 0 ? store.merge() : undefined;
      const { code, out, err } = await runCli(['dump', directory]);
      expect([code, err]).toEqual([0, '']);
      const keys = out
        .trimEnd()
        .split('\n')
        .map((line) => Number(line.split(' ')[0]));
      expect(keys).toEqual(keys.map((_key, i) => i));
      expect(keys.length % 10).toBe(0);
      expect(keys.length).toBeGreaterThanOrEqual(10 * promised);
      for (const command of ['inspect', 'verify']) {
        const result = await runCli([command, directory]);
        expect([result.code, result.err]).toEqual([0, '']);
      }
      stop.abort();
      await Promise.all([merging, writing]);
    }
  } finally {
    stop.abort();
    await writing;
  }
  const { out } = await runCli(['inspect', directory]);
  expect(out).toContain('; running\n');
  expect(out).toContain('The store is open now');
  expect(store.stats().merges.completed).toBeGreaterThan(0);
  // The lock still belongs to the store.
  await insertBatches(store, acknowledged, acknowledged + 1);
  await store.close();
});

test('a merge that removes logs during a read makes the command read the directory again', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, SMALL_LOGS);
  await insertBatches(store, 0, 200);
  const fs = Object.create(nodeFileSystem) as FileSystem & { open: FileSystem['open'] };
  let merges = 0;
  fs.open = async (path, mode) => {
    if (path.includes('log_') && merges++ === 0) await store.merge();
    return nodeFileSystem.open(path, mode);
  };
  const { code, out, err } = await runOn(fs, (context) => inspect(context, directory, {}));
  expect([code, err]).toEqual([0, '']);
  expect(merges).toBeGreaterThan(0);
  expect(out).toContain('(2,000 records)');
  await store.close();
});

test('a leftover that is removed during a read causes no error', async () => {
  const directory = await closedStore();
  for (const name of ['log_0000000000000000', 'snapshot_0000000000000000']) {
    await writeFile(join(directory, name), 'merged');
  }
  const fs = Object.create(nodeFileSystem) as FileSystem & { open: FileSystem['open'] };
  let vanished = 0;
  fs.open = async (path, mode) => {
    if (!path.endsWith('_0000000000000000')) return nodeFileSystem.open(path, mode);
    vanished++;
    throw Object.assign(new Error('ENOENT: gone'), { code: 'ENOENT', path });
  };
  const { code, err } = await runOn(fs, (context) => inspect(context, directory, {}));
  // Each file is opened to identify it and again to read it.
  expect([code, err, vanished]).toEqual([0, '', 4]);
});
