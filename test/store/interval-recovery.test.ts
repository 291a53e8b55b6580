import fc from 'fast-check';
import { expect, test } from 'vitest';
import { finishSteps } from '../../src/base/steps.ts';
import { PieceBuilder } from '../../src/replay/piece-builder.ts';
import { foldParts, type RunPart } from '../../src/runs/interval-deletes.ts';
import { LogParts } from '../../src/runs/part-pile.ts';
import { WriteBatch } from '../../src/index.ts';
import { ProgressMeter } from '../../src/store/recovery/progress-meter.ts';
import { recover, recoveredColumns } from '../../src/store/recovery/recovery.ts';
import { Table } from '../../src/table/table.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { settleIntervals } from '../../src/store/recovery/covered-rows.ts';
import { snapshotDeletes } from '../../src/store/recovery/snapshot-deletes.ts';
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
  expect(intervals).toEqual([{ lowest: 0n, highest: 1_998n }]);
  const settled = await settleIntervals(CONTEXT, [...pieces, ...pieces]);
  expect([settled.pieces.length, settled.intervals]).toEqual([2, intervals]);
});

test('a key of the snapshot is deleted once, however many intervals have it', async () => {
  const records = Array.from({ length: 3_000 }, (_, i) => ({
    key: BigInt(i),
    value: 1n,
    data: new Uint8Array(0),
  }));
  const intervals = [
    { lowest: 10n, highest: 19n },
    { lowest: 30n, highest: 2_500n },
  ];
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
