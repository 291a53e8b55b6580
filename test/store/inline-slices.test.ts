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

/**
 * A log of random or ascending keys, of which those below `cut` are deleted half-way. Returns its
 * path.
 */
async function logOf(keyOf: (i: number) => number, cut = 0): Promise<string> {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  for (let i = 0; i < ROWS;) {
    // Also at the start: a log without intervals would be sealed before the first one.
    if (cut > 0 && i % (ROWS / 2) === 0) {
      await store.insertBatch([{ type: 'deleteRange', lt: cut }]);
    }
    const batch = new WriteBatch();
    for (let j = 0; j < 2_000; j++, i++) batch.put(keyOf(i), i + 1);
    await store.insertBatch(batch);
  }
  await store.close();
  return join(directory, logName(1));
}

/** Counts how often a job yields. `pausesSoFar` counts while it runs. */
async function pausesWhile(
  job: (runner: InlineRunner, pausesSoFar: () => number) => Promise<unknown>,
): Promise<number> {
  let pauses = 0;
  const pause = async (): Promise<void> => {
    pauses++;
    await Promise.resolve();
  };
  await job(new InlineRunner(nodeFileSystem, { pause, sliceMs: 0 }), () => pauses);
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

it('a merge on this thread yields between slices of reading, sorting and folding', async () => {
  const words = randomWords(4);
  const path = await logOf(() => words(), 2 ** 31);
  const { scan } = await new InlineRunner(nodeFileSystem).run({
    kind: 'load-log',
    path,
    number: 1,
    storeId: undefined,
    expectedBytes: 60_000 * 20,
  });
  const { validBytes: lengthBytes, lastSequence, chain, header } = scan;
  const sent: number[] = [];
  await pausesWhile(async (runner, pausesSoFar) => {
    const result = await runner.run(
      {
        kind: 'merge',
        snapshot: undefined,
        logs: [{ path, number: 1, lengthBytes, lastSequence }],
        storeId: header!.storeId,
        epoch: header!.epoch,
        last: { number: 1, lengthBytes, lastSequence, chain },
        number: 1,
        temporaryPath: `${path}.tmp`,
        limitBytes: undefined,
      },
      { onMessage: () => sent.push(pausesSoFar()) },
    );
    expect(result.kind).toBe('merged');
  });
  // 30 groups; some 25 steps to sort each part of 30,000 rows, 10 to delete the keys of an
  // interval, 30 to fold the second part; two for each chunk of the result.
  expect(sent[0]).toBeGreaterThanOrEqual(130);
});

it('a merge that is aborted ends at the next pause', async () => {
  const words = randomWords(5);
  const path = await logOf(() => words());
  const abort = new AbortController();
  const reason = new Error('closed');
  let pauses = 0;
  const pause = async (): Promise<void> => {
    if (++pauses === 50) abort.abort(reason);
    await Promise.resolve();
  };
  const runner = new InlineRunner(nodeFileSystem, { pause, sliceMs: 0 });
  const merging = runner.run(
    {
      kind: 'merge',
      snapshot: undefined,
      logs: [{ path, number: 1, lengthBytes: 0, lastSequence: 0n }],
      storeId: new Uint8Array(16),
      epoch: 1,
      last: { number: 1, lengthBytes: 0, lastSequence: 0n, chain: 0 },
      number: 1,
      temporaryPath: `${path}.tmp`,
      limitBytes: undefined,
    },
    { signal: abort.signal },
  );
  await expect(merging).rejects.toBe(reason);
  expect(pauses).toBe(50);
});
