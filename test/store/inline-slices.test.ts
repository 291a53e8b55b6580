import { join } from 'node:path';
import { expect, it } from 'vitest';

import { logName } from '../../src/format/file-name.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { MetadataStore, WriteBatch } from '../../src/index.ts';
import type { RowPiece } from '../../src/replay/row-piece.ts';
import { indexPieces } from '../../src/store/recovery/index-pieces.ts';
import { InlineRunner } from '../../src/threads/job-runner.ts';
import { chunksOf } from '../support/columns.ts';
import { randomWords } from '../support/random.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const ROWS = 60_000;

/** A log of random or ascending keys. Returns its path. */
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

/** Counts how often a job yields. */
async function pausesWhile(job: (runner: InlineRunner) => Promise<unknown>): Promise<number> {
  let pauses = 0;
  const pause = async (): Promise<void> => {
    pauses++;
    await Promise.resolve();
  };
  await job(new InlineRunner(nodeFileSystem, { pause, sliceMs: 0 }));
  return pauses;
}

it('a log that is read and indexed on this thread yields between slices', async () => {
  const words = randomWords(3);
  const path = await logOf(() => words());
  const expectedBytes = 60_000 * 20;
  const job = { kind: 'load-log' as const, path, number: 1, storeId: undefined, expectedBytes };
  let pieces: readonly RowPiece[] = [];
  const pauses = await pausesWhile(async (runner) => {
    const { rows } = await runner.run(job);
    expect(rows.reduce((sum, { rowCount }) => sum + rowCount, 0)).toBe(ROWS);
    pieces = rows;
  });
  // 30 groups of 2,000 rows, and 59 steps of 1,024 rows for each of two passes by partition.
  expect(pauses).toBeGreaterThanOrEqual(29 + 2 * 58);

  const columns = chunksOf(
    Array.from({ length: 500 }, (_, i) => ({
      key: BigInt(i * 2 ** 23),
      value: 1n,
      data: new Uint8Array(0),
    })),
    10,
  );
  const { signal } = new AbortController();
  const indexPauses = await pausesWhile(async (runner) => {
    const replay = await indexPieces({ runner, signal }, pieces, columns);
    const { layers } = await replay.count(columns);
    expect(layers).toHaveLength(1);
  });
  // By hash and into ranges: 58 steps each. To sort: at least two steps for each of 29 ranges.
  expect(indexPauses).toBeGreaterThanOrEqual(2 * 50 + 2 * 29);
});
