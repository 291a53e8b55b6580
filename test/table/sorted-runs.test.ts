import { afterEach, describe, expect, it, vi } from 'vitest';

import { ROW_HEADER_BYTES } from '../../src/base/limits.ts';
import {
  MOST_SORT_STEPS,
  MOST_SORTED_ROWS,
  SortScratch,
  sortSteps,
} from '../../src/table/delta/row-sort.ts';
import { Delta } from '../../src/table/delta/delta.ts';
import { UnsortedRows } from '../../src/table/delta/unsorted-rows.ts';
import { Table } from '../../src/table/table.ts';
import { randomWords } from '../support/random.ts';
import { publishRows, rowsLength, writeRows, type TestRow } from '../support/rows.ts';

type KeyOf = (word: number, other: number, i: number) => [low: number, high: number];

const words = randomWords(7);

const KEYS: Record<string, KeyOf> = {
  'spread evenly': (word, other) => [word, other],
  'spread over low halves': (word) => [word, 5],
  'spread over high halves': (_, other) => [5, other],
  'ids in random order': (word) => [word % 4_096, 0],
  'ids of 16 volumes': (word, _, i) => [i, (word % 16) << 20],
  'near the highest bit': (word, other) => [word % 3, 0x7fff_ffff + (other % 3)],
  'in two clusters': (word, other) => [word % 1_000, other % 2 === 0 ? 0 : 0xffff_ffff],
  'in clusters of both halves': (word, other) => [word % 50, (other % 50) << 26],
  'a few': (word) => [word % 3, 0],
  one: () => [1, 2],
  descending: (_, __, i) => [0xffff_ffff - i, 9],
};

afterEach(() => {
  vi.restoreAllMocks();
});

/** Counts the words of rows that are read: keys to compare, values and lengths. */
function countReads(): () => number {
  const read = vi.spyOn(DataView.prototype, 'getUint32');
  return () => read.mock.calls.length;
}

const SIZES = { runRows: 512, pieceRows: 64, pageChunks: 4 };

function put(key: bigint, value: number): TestRow {
  return { key, value: BigInt(value + 1) };
}

describe('sorting rows', () => {
  const scratch = new SortScratch();
  for (const [name, keyOf] of Object.entries(KEYS)) {
    for (const count of [1, 2, 700, 20_000]) {
      it(`${count} keys, ${name}: sorted, with equal ones in the given order`, () => {
        const rows = new UnsortedRows();
        const keys = Array.from({ length: count }, (_, i) => keyOf(words(), words(), i));
        keys.forEach(([low, high], i) => rows.append(low >>> 0, high >>> 0, 3 * i));
        const steps = sortSteps(rows, scratch);
        let taken = 1;
        let step = steps.next();
        for (; step.done !== true; step = steps.next()) taken++;
        const numbers = keys.map(([low, high]) => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
        const expected = numbers
          .map((key, i) => ({ key, i }))
          .sort((a, b) => (a.key === b.key ? a.i - b.i : a.key < b.key ? -1 : 1));
        expect([...step.value]).toEqual(expected.map(({ i }) => 3 * i));
        expect(taken).toBeLessThanOrEqual(MOST_SORT_STEPS);
      });
    }
  }

  it('takes no more rows than an index has bits for', () => {
    const rows = new UnsortedRows();
    for (let i = 0; i <= MOST_SORTED_ROWS; i++) rows.append(1, 1, i);
    expect(() => sortSteps(rows, scratch).next()).toThrow(/index/);
  });
});

describe('the first step of an iterator', () => {
  const RUNS = 100;

  function tableOf(keyOf: (i: number) => bigint, groupRows: number): Table {
    const table = new Table({ snapshot: [] }, SIZES);
    const count = RUNS * SIZES.runRows + 77;
    for (let from = 0; from < count; from += groupRows) {
      const length = Math.min(groupRows, count - from);
      publishRows(
        table,
        Array.from({ length }, (_, i) => put(keyOf(from + i), from + i)),
      );
    }
    return table;
  }

  const CASES: Record<string, (i: number) => bigint> = {
    'keys in random order': (i) => (BigInt(words()) << 32n) | BigInt(i),
    'ascending keys': (i) => BigInt(i),
    'descending keys': (i) => BigInt(1_000_000 - i),
    'one key written all the time': () => 5n,
    'keys in clusters': (i) =>
      (BigInt(words() % 3) << 60n) | BigInt(words() % 100) | BigInt(i << 8),
  };
  for (const [name, keyOf] of Object.entries(CASES)) {
    for (const groupRows of [7, 500, 20_000]) {
      it(`${name}, groups of ${groupRows}: reads a few rows of each run, and of the rest`, () => {
        const table = tableOf(keyOf, groupRows);
        // The full runs that are not sorted, and the pieces after them.
        const reads = countReads();
        for (const reverse of [false, true]) {
          const before = reads();
          expect(table.entries({ limit: 1, reverse }).next().done).toBe(false);
          // Of 51,277 rows, each of which would take two reads.
          expect(reads() - before).toBeLessThan(24 * RUNS + 2 * 1_024 + 8 * SIZES.pieceRows);
        }
      });
    }
    it(`${name}: the rows left to sort after a group fill a few runs`, () => {
      const table = tableOf(keyOf, 20_000);
      let steps = 0;
      while (table.sortStep()) steps++;
      expect(steps).toBeLessThanOrEqual(
        2 * (MOST_SORT_STEPS + 2) + SIZES.runRows / SIZES.pieceRows,
      );
    });
  }

  it('a large group leaves no run unsorted, only pieces', () => {
    // Each group ends the run before it by its last row.
    const groupRows = SIZES.runRows / 2;
    const table = new Table({ snapshot: [] }, SIZES);
    for (let group = 0; group < 20; group++) {
      const keys = Array.from(
        { length: groupRows },
        (_, i) => (BigInt(words()) << 32n) | BigInt(i),
      );
      publishRows(table, keys.map(put));
    }
    let steps = 0;
    while (table.sortStep()) steps++;
    expect(steps).toBe(groupRows / SIZES.pieceRows);
  });

  it('groups that fail beside small ones leave no tiny runs', () => {
    const delta = new Delta(SIZES);
    const publish = (rows: readonly TestRow[], end: 'finish' | 'abandon'): void => {
      const region = delta.reserve(rowsLength(rows));
      writeRows(region.bytes, rows);
      delta.beginPublish(region, rowsLength(rows));
      delta.stepPublish(Infinity, { isPresent: () => false });
      if (end === 'finish') delta.finishPublish();
      else while (!delta.stepAbandon(Infinity));
    };
    const failing = Array.from({ length: 2 * SIZES.runRows }, (_, i) => put(BigInt(i), i));
    for (let i = 0; i < SIZES.pieceRows; i++) {
      publish([put(BigInt(i), i)], 'finish');
      publish(failing, 'abandon');
    }
    expect(delta.cursors({ low: 0, high: 0, direction: 'up' })).toHaveLength(1);
  });

  it('sorts only the new rows after a few more', () => {
    const table = tableOf((i) => (BigInt(words()) << 32n) | BigInt(i), 500);
    table.keys({ limit: 1 }).next();
    publishRows(table, [put(1n, 1)]);
    const reads = countReads();
    expect(table.keys({ gte: 1n, limit: 1 }).next().value).toBe(1n);
    expect(reads()).toBeLessThan(24 * RUNS);
  });
});

describe('the runs of a group that is being published', () => {
  it('are invisible to earlier iterators, and gone when the group is undone', () => {
    const table = new Table({ snapshot: [] }, { ...SIZES, runRows: 8, pieceRows: 3 });
    const first = Array.from({ length: 29 }, (_, i) => put(BigInt(100 + ((i * 7) % 29)), i));
    publishRows(table, first);
    const expected = Array.from({ length: 29 }, (_, i) => BigInt(100 + i));

    const failing = Array.from({ length: 40 }, (_, i) => put(BigInt((i * 11) % 40), i));
    const region = table.reserve(rowsLength(failing));
    writeRows(region.bytes, failing);
    table.beginPublish(region, rowsLength(failing));
    table.stepPublish(30);
    const begun = table.keys();
    expect([begun.next().value, begun.next().value]).toEqual(expected.slice(0, 2));
    table.stepAbandon(Infinity);

    const later = Array.from({ length: 40 }, (_, i) => put(BigInt(1_000 - i), i));
    publishRows(table, later);
    expect([...begun]).toEqual(expected.slice(2));
    expect([...table.keys()]).toEqual([...expected, ...later.map(({ key }) => key).toReversed()]);
    expect(ROW_HEADER_BYTES * 69).toBeLessThanOrEqual(table.liveBytes);
  });

  it('are sorted one after another for any view', () => {
    // A run of 7 rows whose sort has started when a view needs the 3 rows before it.
    const table = new Table({ snapshot: [] }, { runRows: 7, pieceRows: 1, pageChunks: 1 });
    publishRows(table, [put(1_000n, 0), put(993n, 1), put(986n, 2)]);
    const view = table.view();
    const values = new Map([...view.entries()].map(([key, { value }]) => [key, value]));
    for (const [count, base] of [
      [8, 0],
      [3, 50],
    ] as const) {
      const group = Array.from({ length: count }, (_, i) =>
        put(BigInt(900 + ((i * 37 + base) % 61) * 5), i + base),
      );
      const region = table.reserve(rowsLength(group));
      writeRows(region.bytes, group);
      table.beginPublish(region, rowsLength(group));
      while (!table.stepPublish(1)) expect([...view.keys()]).toEqual([986n, 993n, 1_000n]);
      table.endPublish();
      for (const { key, value } of group) values.set(key, value);
      expect([...view.keys()]).toEqual([986n, 993n, 1_000n]);
    }
    const expected = [...values].toSorted(([one], [other]) => (one < other ? -1 : 1));
    expect([...table.entries()].map(([key, { value }]) => [key, value])).toEqual(expected);
  });
});
