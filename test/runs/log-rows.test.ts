import { expect, test } from 'vitest';
import {
  CHUNK_TARGET_BYTES,
  CHUNK_TARGET_RECORDS,
  ROW_HEADER_BYTES,
} from '../../src/base/limits.ts';
import type { Columns } from '../../src/format/columns.ts';
import { LogRows } from '../../src/runs/log-rows.ts';
import { filledChunksOf } from '../support/columns.ts';
import { groupOf } from '../support/small-directory.ts';
import type { TestRow } from '../support/rows.ts';

const NONE = new Uint8Array(0);

/** The columns of the records of a sorted list. */
function builtFrom(rows: readonly TestRow[]): Columns[] {
  return filledChunksOf(rows.map(({ key, value, data = NONE }) => ({ key, value, data })));
}

function lastOfEach(rows: readonly TestRow[]): TestRow[] {
  const byKey = new Map(rows.map((row) => [row.key, row]));
  return [...byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

function collected(rows: readonly TestRow[], groupRows: number, expectedBytes?: number): Columns[] {
  const collector = new LogRows(expectedBytes);
  for (let i = 0; i < rows.length; i += groupRows) {
    collector.add(groupOf([rows.slice(i, i + groupRows)]).decoded);
  }
  return collector.finish();
}

/** Compared as bytes, because the test runner is slow with columns of thousands. */
function plain(run: readonly Columns[]): unknown {
  return run.map(({ keyLow, keyHigh, valueLow, valueHigh, dataEnd, data, ...rest }) => ({
    ...rest,
    columns: [keyLow, keyHigh, valueLow, valueHigh, dataEnd, data].map(
      (column) => column && Buffer.from(column.slice().buffer).toString('latin1'),
    ),
  }));
}

const COUNT = 20_000;

const KEYS: Record<string, (i: number) => bigint> = {
  'ascending keys': (i) => 7n + 3n * BigInt(i),
  'keys far apart': (i) => BigInt(i) * 0x1_2345_6789n,
  'keys in any order': (i) => BigInt((i * 7_919) % COUNT) * 0xffff_ffffn,
  'keys that come again': (i) => BigInt(i >>> 1),
  'keys that come again later': (i) => BigInt(i % 5_000),
};

const LENGTHS: Record<string, (i: number) => number> = {
  'data of words': () => 16,
  'data of any length': (i) => i % 31,
  'words of many lengths': (i) => 4 * (i % 9),
  'one odd length': (i) => (i === COUNT - 3 ? 5 : 8),
  'long data now and then': (i) => (i % 3_000 === 1 ? 300_000 : i % 500 === 7 ? 400 : 4),
};

for (const [keys, keyAt] of Object.entries(KEYS)) {
  for (const [lengths, lengthAt] of Object.entries(LENGTHS)) {
    test(`${keys}, ${lengths}: equals appending one by one`, () => {
      const rows = Array.from({ length: COUNT }, (_, i) => ({
        key: keyAt(i),
        value: (BigInt(i) << 30n) + 5n,
        data: new Uint8Array(lengthAt(i)).fill(i),
      }));
      const expected = plain(builtFrom(lastOfEach(rows)));
      expect(plain(collected(rows, 700))).toEqual(expected);
      // In one block, and with reused memory.
      expect(plain(collected(rows, 1_000, 2 ** 22))).toEqual(expected);
    });
  }
}

test('a chunk ends at its maximum of records and of bytes', () => {
  const short = Array.from({ length: 2 * CHUNK_TARGET_RECORDS }, (_, i) => ({
    key: BigInt(i),
    value: 1n,
  }));
  expect(collected(short, 1_000).map(({ recordCount }) => recordCount)).toEqual([
    CHUNK_TARGET_RECORDS,
    CHUNK_TARGET_RECORDS,
  ]);
  const data = new Uint8Array(CHUNK_TARGET_BYTES / 4 - ROW_HEADER_BYTES);
  const long = [0n, 1n, 2n, 3n, 4n].map((key) => ({ key, value: 1n, data }));
  expect(collected(long, 2).map(({ recordCount }) => recordCount)).toEqual([4, 1]);
});

test('no rows are no run', () => {
  expect(collected([], 1)).toEqual([]);
  const empty = new LogRows();
  empty.add(NONE);
  expect(empty.finish()).toEqual([]);
});
