import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BatchTooLargeError } from '../src/base/errors.ts';
import { begin, finishAtOnce } from '../src/base/flow.ts';
import { MAX_U64, ROW_HEADER_BYTES } from '../src/base/limits.ts';
import type { KeyInterval } from '../src/base/interval-set.ts';
import type { Pacing } from '../src/base/work-slices.ts';
import { contentHashText } from '../src/format/content-sum.ts';
import { publishExpanded } from '../src/store/commit/expand-batch.ts';
import { Table } from '../src/table/table.ts';
import { chunksOf, type TestRecord } from '../test/support/columns.ts';
import { runs } from '../test/support/effort.ts';
import { contentHashOf } from '../test/support/independent-content-hash.ts';
import { randomWords } from '../test/support/random.ts';
import { publishRows, rowsLength, writeRows, type TestRow } from '../test/support/rows.ts';

type Update = TestRow | KeyInterval;
type Model = Map<bigint, TestRecord>;

const SIZES = { runRows: 64, pieceRows: 16, pageChunks: 4 };
const NO_DATA = new Uint8Array(0);

const key = fc.oneof(
  { weight: 6, arbitrary: fc.bigInt(0n, 60n) },
  { weight: 2, arbitrary: fc.bigInt(2n ** 32n - 8n, 2n ** 32n + 8n) },
  fc.constantFrom(0n, MAX_U64 - 1n, MAX_U64),
);
const data = fc.constantFrom(NO_DATA, Uint8Array.of(1, 2, 3), new Uint8Array(300).fill(7));
const row: fc.Arbitrary<TestRow> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ key, value: fc.bigInt(1n, 99n), data }) },
  fc.record({ key, value: fc.constant(0n) }),
);
const interval: fc.Arbitrary<KeyInterval> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.tuple(key, fc.bigInt(0n, 3n)).map(([lowest, more]) => ({
      lowest,
      highest: lowest + more > MAX_U64 ? MAX_U64 : lowest + more,
    })),
  },
  fc.tuple(key, key).map(([a, b]) => ({ lowest: a < b ? a : b, highest: a < b ? b : a })),
);
const batch: fc.Arbitrary<Update[]> = fc
  .tuple(
    fc.array(fc.oneof(row, interval), { maxLength: 120 }),
    interval,
    fc.array(row, { maxLength: 5 }),
  )
  .map(([first, last, rest]) => [...first, last, ...rest]);

function isInterval(update: Update): update is KeyInterval {
  return 'lowest' in update;
}

/** The row of an update: a delete with data deletes an interval. */
function rowOf(update: Update): TestRow {
  if (!isInterval(update)) return update;
  const highest = new Uint8Array(BigUint64Array.of(update.highest).buffer);
  return { key: update.lowest, value: 0n, data: highest };
}

function encoded(updates: readonly Update[]): Uint8Array {
  const rows = updates.map(rowOf);
  const bytes = new Uint8Array(rowsLength(rows));
  writeRows(bytes, rows);
  return bytes;
}

function apply(model: Model, updates: readonly Update[]): void {
  for (const update of updates) {
    if (isInterval(update)) {
      for (const one of model.keys()) {
        if (one >= update.lowest && one <= update.highest) model.delete(one);
      }
    } else if (update.value === 0n) model.delete(update.key);
    else model.set(update.key, { data: NO_DATA, ...update });
  }
}

function sorted(model: Model): TestRecord[] {
  return [...model.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1));
}

function recordsOf(table: Table): TestRecord[] {
  return [...table.entries()].map(([at, { value, data: bytes }]) => ({
    key: at,
    value,
    data: bytes,
  }));
}

function isIn(intervals: readonly KeyInterval[], at: bigint): boolean {
  return intervals.some(({ lowest, highest }) => lowest <= at && at <= highest);
}

/** The most bytes that a batch may take: of its rows, and of a delete for each covered record. */
function mostBytes(model: Model, updates: readonly Update[]): number {
  const intervals = updates.filter(isInterval);
  const covered = [...model.keys()].filter((at) => isIn(intervals, at)).length;
  const rows = updates.filter((update): update is TestRow => !isInterval(update));
  return rowsLength(rows) + covered * ROW_HEADER_BYTES;
}

async function publish(table: Table, updates: readonly Update[], pacing: Pacing): Promise<void> {
  expect(await begin(publishExpanded(table, encoded(updates), pacing))).toBeUndefined();
  while (!table.stepPublish(7));
  table.endPublish();
}

test('a batch of deleted intervals and rows leaves what its updates leave one by one', async () => {
  let pauses = 0;
  const pause = (): Promise<void> => {
    pauses++;
    return Promise.resolve();
  };
  const paced = { pause, sliceMs: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { maxLength: 80 }),
      fc.array(fc.array(row, { minLength: 1, maxLength: 60 }), { maxLength: 4 }),
      fc.array(fc.record({ batch, isPaced: fc.boolean(), freezes: fc.boolean() }), {
        minLength: 1,
        maxLength: 4,
      }),
      async (snapshot, groups, batches) => {
        const model: Model = new Map();
        apply(model, snapshot);
        const table = new Table({ snapshot: chunksOf(sorted(model), 9) }, SIZES);
        for (const group of groups) {
          publishRows(table, group);
          apply(model, group);
          if (group.length % 3 === 0) table.freeze();
        }
        for (const { batch: updates, isPaced, freezes } of batches) {
          const before = table.liveBytes;
          const most = mostBytes(model, updates);
          await publish(table, updates, isPaced ? paced : undefined);
          expect(table.liveBytes - before).toBeLessThanOrEqual(most);
          apply(model, updates);
          expect(recordsOf(table)).toEqual(sorted(model));
          expect(table.size).toBe(model.size);
          const count = table.countContent();
          while (count.step());
          expect(contentHashText(count.value)).toBe(contentHashOf(model.values()));
          if (freezes) table.freeze();
        }
      },
    ),
    { numRuns: runs(400) },
  );
  expect(pauses).toBeGreaterThan(0);
});

test('each record is deleted once, however many intervals have it', async () => {
  const table = new Table();
  const model: Model = new Map();
  const rows = Array.from({ length: 5_000 }, (_, at) => ({ key: BigInt(3 * at), value: 1n }));
  publishRows(table, rows);
  apply(model, rows);
  const random = randomWords(7);
  const updates = Array.from({ length: 9_000 }, (_, at): Update => {
    const lowest = BigInt(random() % 16_000);
    if (at % 3 === 0) return { key: lowest, value: 2n };
    return { lowest, highest: lowest + (at % 400 === 1 ? 9_000n : 1n) };
  });
  const most = table.liveBytes + mostBytes(model, updates);
  await publish(table, updates, undefined);
  expect(table.liveBytes).toBeLessThanOrEqual(most);
  apply(model, updates);
  expect(recordsOf(table)).toEqual(sorted(model));
});

test('it pauses between intervals without records', async () => {
  let pauses = 0;
  const pause = (): Promise<void> => {
    pauses++;
    return Promise.resolve();
  };
  const intervals = Array.from({ length: 1_000 }, (_, at) => ({
    lowest: BigInt(2 * at),
    highest: BigInt(2 * at),
  }));
  await publish(new Table(), intervals, { pause, sliceMs: 0 });
  expect(pauses).toBeGreaterThanOrEqual(1_000);
});

test('listing ends when the table has no room for what was found', () => {
  const found: number[] = [];
  class SmallTable extends Table {
    override hasRoomFor(lengthBytes: number): boolean {
      found.push(lengthBytes);
      return lengthBytes <= 100 * ROW_HEADER_BYTES;
    }
  }
  const table = new SmallTable();
  const rows = Array.from({ length: 5_000 }, (_, at) => ({ key: BigInt(at), value: 1n }));
  const region = table.reserve(rowsLength(rows));
  writeRows(region.bytes, rows);
  table.publish(region, rowsLength(rows));
  const updates = [{ lowest: 0n, highest: MAX_U64 }];
  const error = finishAtOnce(publishExpanded(table, encoded(updates), undefined));
  expect(error).toBeInstanceOf(BatchTooLargeError);
  expect(Math.max(...found)).toBeLessThanOrEqual(200 * ROW_HEADER_BYTES);
  expect(table.size).toBe(5_000);
});
