import fc from 'fast-check';
import { expect, test } from 'vitest';
import { finishInSlices, finishSteps } from '../../src/base/steps.ts';
import { PieceBuilder } from '../../src/replay/piece-builder.ts';
import type { RowPiece } from '../../src/replay/row-piece.ts';
import { foldParts, type RunPart } from '../../src/runs/interval-deletes.ts';
import { LogParts } from '../../src/runs/part-pile.ts';
import { WriteBatch } from '../../src/index.ts';
import { ProgressMeter } from '../../src/store/recovery/progress-meter.ts';
import { recover, recoveredColumns } from '../../src/store/recovery/recovery.ts';
import { Table } from '../../src/table/table.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { settleIntervals } from '../../src/store/recovery/covered-rows.ts';
import { coveredChunks, snapshotDeletes } from '../../src/store/recovery/snapshot-deletes.ts';
import { InlineRunner } from '../../src/threads/job-runner.ts';
import { chunksOf } from '../support/columns.ts';
import type { TestRow } from '../support/rows.ts';
import { groupOf } from '../support/small-directory.ts';

const NO_MERGES = { mergeBytes: 2 ** 40 };
/** Few keys, so that superseded rows are packed away. */
const KEYS = 8;

type Step =
  | { readonly kind: 'put'; readonly key: number; readonly bytes: number }
  | { readonly kind: 'range'; readonly from: number; readonly to: number };

const key = fc.nat(KEYS);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('put'), key, bytes: fc.nat(60) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('range'), from: key, to: key }) },
);
const steps = fc.array(step, { minLength: 1, maxLength: 12, size: 'max' });
const batches = fc.array(steps, { maxLength: 8, size: 'max' });

test('rows and intervals are read in their order, for any pieces and any packing', async () => {
  await fc.assert(
    fc.asyncProperty(
      batches,
      batches,
      fc.record({
        pieceBytes: fc.constantFrom(200, 900, 100_000),
        lookBytes: fc.constantFrom(1, 500, 100_000),
        layerBlocks: fc.constantFrom(1, 3, 100),
      }),
      async (merged, rest, sizes) => {
        const fs = new CrashFs({ trace: false });
        const store = await openOn(fs, '/s', NO_MERGES);
        let value = 0;
        const write = async (updates: readonly Step[]): Promise<void> => {
          const batch = new WriteBatch();
          for (const one of updates) {
            if (one.kind === 'range') batch.deleteRange({ gte: one.from, lt: one.to });
            else batch.put(one.key, ++value, new Uint8Array(one.bytes).fill(value));
          }
          await store.insertBatch(batch);
        };
        for (const one of merged) await write(one);
        await store.merge();
        for (const one of rest) await write(one);
        const expected = [...store.entries()];
        const state = await recover({
          fs,
          directory: '/s',
          runner: new InlineRunner(fs),
          signal: new AbortController().signal,
          progress: new ProgressMeter(undefined),
          ...sizes,
        });
        const table = new Table(recoveredColumns(state));
        expect([...table.entries()]).toEqual(expected);
        expect(table.size).toBe(expected.length);
        await store.close();
      },
    ),
    { numRuns: 20 },
  );
});

/** Deletes the keys from `lowest` to `highest`. */
function deleted(lowest: number, highest: number): TestRow {
  const data = new Uint8Array(BigUint64Array.of(BigInt(highest)).buffer);
  return { key: BigInt(lowest), value: 0n, data };
}

/** Each group puts some keys, and deletes all keys below the first of them. */
function* movingWindow(groups: number): Generator<Uint8Array> {
  for (let i = 0; i < groups; i++) {
    const puts = [0, 1, 2].map((k): TestRow => ({ key: BigInt(i + k), value: 1n }));
    yield groupOf([[...puts, ...(i === 0 ? [] : [deleted(0, i - 1)])]]).decoded;
  }
}

const CONTEXT = { signal: new AbortController().signal };

test('thousands of intervals between rows make one piece, and each row is kept once', async () => {
  const builder = new PieceBuilder(2 ** 22);
  for (const rows of movingWindow(2_000)) builder.addGroup({ rows, hasIntervals: true });
  const pieces = finishSteps(builder.finish());
  expect(pieces).toHaveLength(1);
  const [{ buffers, intervals, rowCount }] = pieces as [(typeof pieces)[number]];
  expect([buffers.length, rowCount]).toEqual([1, 6_000]);
  expect(intervals).toEqual(BigUint64Array.of(0n, 1_998n));
  const settled = await settleIntervals(CONTEXT, [...pieces, ...pieces]);
  expect([settled.pieces.length, settled.intervals]).toEqual([2, intervals]);
});

/** Counts its calls. `reset` returns their number, and counts from 0 again. */
function pauseCounter(): { readonly pause: () => Promise<void>; readonly reset: () => number } {
  let pauses = 0;
  const pause = (): Promise<void> => {
    pauses++;
    return Promise.resolve();
  };
  const reset = (): number => {
    const found = pauses;
    pauses = 0;
    return found;
  };
  return { pause, reset };
}

/** Intervals with a gap after each, in groups of 1,000 that do not ascend. */
async function gappedPiece(count: number, pause: () => Promise<void>): Promise<RowPiece> {
  const builder = new PieceBuilder(2 ** 16);
  for (let from = 0; from < count; from += 1_000) {
    const rows = Array.from({ length: 1_000 }, (_, i) => {
      const lowest = 10 * ((7 * (from + i)) % count);
      return deleted(lowest, lowest + 7);
    });
    builder.addGroup({ rows: groupOf([rows]).decoded, hasIntervals: true });
    if (builder.isDue) await finishInSlices(builder.settle(), pause);
  }
  const pieces = await finishInSlices(builder.finish(), pause);
  expect(pieces).toHaveLength(1);
  return pieces[0]!;
}

/** Words of intervals as {@link gappedPiece} makes them. */
function gappedWords(count: number): BigUint64Array {
  return BigUint64Array.from({ length: 2 * count }, (_, i) =>
    BigInt(10 * (i >>> 1) + (i % 2 === 0 ? 0 : 7)),
  );
}

test('many intervals go from thread to thread as words that both share', async () => {
  const { pause } = pauseCounter();
  const piece = await gappedPiece(10_000, pause);
  expect(piece.intervals).toEqual(gappedWords(10_000));
  const received = structuredClone(piece);
  expect(received.intervals).toEqual(piece.intervals);
  // A change here is a change there: nothing was copied.
  piece.intervals[1] = 6n;
  expect(received.intervals[1]).toBe(6n);
});

test('many intervals are applied in steps, between which the event loop has a turn', async () => {
  const { pause, reset } = pauseCounter();
  const piece = await gappedPiece(10_000, pause);
  // 39 to list their bounds, 39 to add them, 39 to list the union; and some to sort.
  const leastPauses = 3 * 39;
  expect(reset()).toBeGreaterThanOrEqual(leastPauses);
  const context = { ...CONTEXT, pause };
  const { intervals } = await settleIntervals(context, [piece]);
  expect(reset()).toBeGreaterThanOrEqual(leastPauses);
  expect(intervals).toEqual(gappedWords(10_000));
  // The snapshot is behind all intervals.
  const records = [{ key: 200_000n, value: 1n, data: new Uint8Array(0) }];
  const chunks = chunksOf(records, 1);
  expect(await finishInSlices(coveredChunks(intervals, chunks), pause)).toEqual([]);
  expect(reset()).toBeGreaterThanOrEqual(39);
  expect(await snapshotDeletes(context, intervals, chunks)).toEqual([]);
  expect(reset()).toBeGreaterThanOrEqual(39);
});

test('intervals that wait are applied between groups when there are many', async () => {
  const { pause } = pauseCounter();
  const builder = new PieceBuilder(2 ** 16);
  const one = groupOf([Array.from({ length: 1_000 }, () => deleted(5, 9))]).decoded;
  for (let i = 0; i < 65; i++) builder.addGroup({ rows: one, hasIntervals: true });
  expect(builder.isDue).toBe(false);
  builder.addGroup({ rows: one, hasIntervals: true });
  expect(builder.isDue).toBe(true);
  await finishInSlices(builder.settle(), pause);
  expect(builder.isDue).toBe(false);
  const [piece] = finishSteps(builder.finish());
  expect(piece!.intervals).toEqual(BigUint64Array.of(5n, 9n));
});

test('a key of the snapshot is deleted once, however many intervals have it', async () => {
  const records = Array.from({ length: 3_000 }, (_, i) => ({
    key: BigInt(i),
    value: 1n,
    data: new Uint8Array(0),
  }));
  const intervals = BigUint64Array.of(10n, 19n, 30n, 2_500n);
  const pieces = await snapshotDeletes(CONTEXT, intervals, chunksOf(records, 100));
  expect(pieces.reduce((sum, { rowCount }) => sum + rowCount, 0)).toBe(10 + 2_471);
});

test('a merge asks for the keys of the snapshot once, and makes at most one delete of a row', async () => {
  const parts = new LogParts();
  for (const rows of movingWindow(500)) parts.add({ rows, hasIntervals: true });
  const ended: RunPart[] = finishSteps(parts.finish());
  let calls = 0;
  const run = await foldParts<never>(ended, (intervals, add) => {
    calls++;
    expect(intervals).toEqual([{ lowest: 0n, highest: 498n }]);
    add(7, 0);
    return Promise.resolve(undefined);
  });
  expect(calls).toBe(1);
  const count = run.reduce((sum, { recordCount }) => sum + recordCount, 0);
  // The keys 0 to 501, of which the last three are put.
  expect(count).toBe(502);
});
