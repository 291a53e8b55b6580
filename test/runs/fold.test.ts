import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { finishSteps } from '../../src/base/steps.ts';
import type { Columns } from '../../src/format/columns.ts';
import { foldChunk, Folder, foldRuns } from '../../src/runs/fold.ts';
import { LogRows } from '../../src/runs/log-rows.ts';
import { RunCursor } from '../../src/runs/run-cursor.ts';
import { chunksOf, type TestRecord } from '../support/columns.ts';
import { groupOf } from '../support/small-directory.ts';

const NONE = new Uint8Array(0);

function recordsIn(chunks: readonly Columns[]): TestRecord[] {
  const records: TestRecord[] = [];
  for (const cursor = new RunCursor(chunks); !cursor.done; cursor.next()) {
    const { dataFrom, dataLength } = cursor;
    records.push({
      key: (BigInt(cursor.keyHigh) << 32n) | BigInt(cursor.keyLow),
      value: (BigInt(cursor.valueHigh) << 32n) | BigInt(cursor.valueLow),
      data: cursor.data.slice(dataFrom, dataFrom + dataLength),
    });
  }
  return records;
}

function sorted(updates: Iterable<TestRecord>): TestRecord[] {
  const byKey = new Map([...updates].map((update) => [update.key, update]));
  return [...byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

function folded(
  older: readonly TestRecord[],
  newer: readonly TestRecord[],
  bound?: bigint,
): TestRecord[] {
  const chunks: Columns[] = [];
  const folder = new Folder((columns) => chunks.push(columns));
  foldChunk(chunksOf(older, 3), new RunCursor(chunksOf(newer, 2)), bound, folder);
  folder.flush();
  return recordsIn(chunks);
}

function record(key: bigint, value: bigint, data: Uint8Array = NONE): TestRecord {
  return { key, value, data };
}

describe('into a chunk', () => {
  const older = [record(1n, 1n), record(2n, 2n), record(3n, 3n)];

  test('the newer update wins, before, between and after the records', () => {
    const newer = [0n, 2n, 4n].map((key) => record(key, 90n + key));
    expect(folded(older, newer).map(({ value }) => value)).toEqual([90n, 1n, 92n, 3n, 94n]);
  });

  test('deletes remove records, and leave nothing if there was none', () => {
    const newer = [0n, 1n, 3n, 9n].map((key) => record(key, 0n));
    expect(folded(older, newer)).toEqual([record(2n, 2n)]);
    expect(
      folded(
        older,
        [1n, 2n, 3n].map((key) => record(key, 0n)),
      ),
    ).toEqual([]);
  });

  test('updates at or above the bound stay for the next chunk', () => {
    const newer = new RunCursor(chunksOf([record(2n, 20n), record(5n, 50n), record(6n, 60n)], 1));
    const chunks: Columns[] = [];
    const folder = new Folder((columns) => chunks.push(columns));
    foldChunk(chunksOf(older, 3), newer, 5n, folder);
    folder.flush();
    expect(recordsIn(chunks).map(({ value }) => value)).toEqual([1n, 20n, 3n]);
    expect([newer.done, newer.keyLow]).toEqual([false, 5]);
  });
});

describe('runs', () => {
  test('the last run wins for each key, and deletes stay', () => {
    const runs = [
      [record(1n, 1n), record(2n, 2n), record(7n, 7n)],
      [record(2n, 0n), record(3n, 3n)],
      [],
      [record(1n, 0n), record(3n, 30n), record(7n, 70n)],
    ].map((records) => (records.length === 0 ? [] : chunksOf(records, 2)));
    const expected = [record(1n, 0n), record(2n, 0n), record(3n, 30n), record(7n, 70n)];
    expect(recordsIn(finishSteps(foldRuns(runs)))).toEqual(expected);
    expect(finishSteps(foldRuns([]))).toEqual([]);
  });

  test('are folded in steps of some thousand records, alternating or not', () => {
    const keys = Array.from({ length: 20_000 }, (_, i) => BigInt(i));
    const every = (isOlder: (key: bigint) => boolean): Columns[][] => [
      chunksOf(
        keys.filter(isOlder).map((key) => record(key, 1n)),
        4_096,
      ),
      chunksOf(
        keys.filter((key) => !isOlder(key)).map((key) => record(key, 2n)),
        4_096,
      ),
    ];
    for (const runs of [every((key) => key % 2n === 0n), every((key) => key < 10_000n)]) {
      const steps = foldRuns(runs);
      let count = 0;
      let step = steps.next();
      for (; step.done !== true; step = steps.next()) count++;
      expect(count).toBeGreaterThanOrEqual(4);
      expect(recordsIn(step.value).map(({ key }) => key)).toEqual(keys);
    }
  });
});

const someRecord = fc.record({
  key: fc.oneof(fc.bigInt({ min: 0n, max: 20n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  value: fc.oneof(fc.constant(0n), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  data: fc.uint8Array({ maxLength: 5 }),
});

/** Some updates; deletes have no data. */
const someUpdates = fc
  .array(someRecord, { maxLength: 20 })
  .map((updates) =>
    updates.map((update) => (update.value === 0n ? { ...update, data: NONE } : update)),
  );

test('folding runs equals applying their updates one by one', () => {
  fc.assert(
    fc.property(fc.array(someUpdates, { maxLength: 5 }), (runs) => {
      const columns = runs.map((updates) => {
        const unique = sorted(updates);
        return unique.length === 0 ? [] : chunksOf(unique, 4);
      });
      expect(recordsIn(finishSteps(foldRuns(columns)))).toEqual(sorted(runs.flat()));
    }),
  );
});

test('folding into chunks equals it, too', () => {
  fc.assert(
    fc.property(someUpdates, someUpdates, (first, second) => {
      const older = sorted(first).filter(({ value }) => value !== 0n);
      const newer = sorted(second);
      const expected = sorted([...older, ...newer]).filter(({ value }) => value !== 0n);
      const found = folded(older, newer);
      expect(found).toEqual(expected);
    }),
  );
});

test('the rows of a log become the last update of each key', () => {
  fc.assert(
    fc.property(fc.array(someUpdates, { maxLength: 5 }), (groups) => {
      const rows = new LogRows();
      for (const updates of groups) rows.add(groupOf([updates]).decoded);
      expect(recordsIn(rows.finish())).toEqual(sorted(groups.flat()));
    }),
  );
});
