import { join } from 'node:path';
import { expect, it, vi } from 'vitest';

import { logName } from '../../src/format/file-name.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { MetadataStore, WriteBatch } from '../../src/index.ts';
import type { LazyChunk } from '../../src/table/chunk/lazy-chunk.ts';
import { touchedChunks } from '../../src/store/recovery/touched-chunks.ts';
import { InlineRunner } from '../../src/threads/job-runner.ts';
import { chunksOf } from '../support/columns.ts';
import { randomWords } from '../support/random.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const ROWS = 60_000;

/** A log of random or ascending keys; returns its path. */
async function logOf(keyOf: (i: number) => number): Promise<string> {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  for (let i = 0; i < ROWS;) {
    const batch = new WriteBatch();
    for (let j = 0; j < 2_000; j++, i++) batch.put(keyOf(i), i + 1);
    await store.insertBatch(batch);
  }
  await store.close();
  return join(directory, logName(1));
}

/** How often a job gives way. */
async function pausesWhile(job: (runner: InlineRunner) => Promise<unknown>): Promise<number> {
  let pauses = 0;
  const pause = async (): Promise<void> => {
    pauses++;
    await Promise.resolve();
  };
  await job(new InlineRunner(nodeFileSystem, pause));
  return pauses;
}

it('a log that is read on this thread is read, sorted and gathered in slices', async () => {
  const words = randomWords(3);
  const random = await logOf(() => words());
  const job = { kind: 'load-log' as const, path: random, number: 1, storeId: undefined };
  const pauses = await pausesWhile(async (runner) => {
    const { run } = await runner.run(job);
    expect(run.reduce((sum, { recordCount }) => sum + recordCount, 0)).toBeGreaterThan(ROWS * 0.99);
  });
  // Of 60,000 rows of 20 bytes: seven slices to read them, four or more for each of five passes, fifteen to gather them.
  expect(pauses).toBeGreaterThanOrEqual(7 + 5 * 4 + 14);

  const ascending = await logOf((i) => 3 * i);
  const ascendingJob = { ...job, path: ascending };
  expect(await pausesWhile((runner) => runner.run(ascendingJob))).toBeGreaterThanOrEqual(7 + 6);
});

it('logs are folded on this thread in slices', async () => {
  const words = randomWords(4);
  const runs = Array.from({ length: 3 }, () => {
    const keys = [...new Set(Array.from({ length: 12_000 }, () => words()))].sort((a, b) => a - b);
    const data = new Uint8Array(0);
    return chunksOf(
      keys.map((key) => ({ key: BigInt(key), value: 7n, data })),
      4_096,
    );
  });
  const pauses = await pausesWhile((runner) => runner.run({ kind: 'fold-logs', runs }));
  expect(pauses).toBeGreaterThanOrEqual(10);
});

it('chunks that updates touch are looked for in slices', async () => {
  const spans = Array.from({ length: 50 }, (_, i) => ({
    firstLow: 1_000 * i,
    firstHigh: 0,
    lastLow: 1_000 * i + 500,
    lastHigh: 0,
  }));
  const records = [3, 4, 700, 2_100, 2_101, 9_000, 49_500, 49_501].map((key) => ({
    key: BigInt(key),
    value: 1n,
    data: new Uint8Array(0),
  }));
  const pause = vi.fn<() => Promise<void>>(() => Promise.resolve());
  const touched = await touchedChunks(spans as unknown as LazyChunk[], chunksOf(records, 2), pause);
  expect(touched).toEqual([0, 2, 9, 49]);
  expect(pause).toHaveBeenCalledTimes(4);
});
