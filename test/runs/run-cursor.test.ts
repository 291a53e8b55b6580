import { describe, expect, test } from 'vitest';
import { keyBound, lowerBound, RunCursor } from '../../src/runs/run-cursor.ts';
import { chunksOf, columnsOf } from '../support/columns.ts';

const MAX = 2n ** 64n - 1n;
const KEYS = [0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 40n + 5n, MAX - 1n, MAX];
const RECORDS = KEYS.map((key, i) => ({
  key,
  value: i === 3 ? 0n : MAX - BigInt(i),
  data: new Uint8Array(i === 3 ? 0 : i).fill(i),
}));

describe.each([1, 2, 3, 7])('chunks of %d', (perChunk) => {
  const chunks = chunksOf(RECORDS, perChunk);

  test('yields every record in order', () => {
    const seen: unknown[] = [];
    for (const cursor = new RunCursor(chunks); !cursor.done; cursor.next()) {
      const { dataFrom, dataLength } = cursor;
      seen.push({
        key: (BigInt(cursor.keyHigh) << 32n) | BigInt(cursor.keyLow),
        value: (BigInt(cursor.valueHigh) << 32n) | BigInt(cursor.valueLow),
        data: cursor.data.slice(dataFrom, dataFrom + dataLength),
      });
    }
    expect(seen).toEqual(RECORDS);
  });

  test('counts below a bound from every position', () => {
    const cursor = new RunCursor(chunks);
    for (let i = 0; i < RECORDS.length; i++, cursor.next()) {
      for (const bound of [...KEYS, 7n, 2n ** 50n]) {
        const exact = KEYS.slice(i).filter((key) => key < bound).length;
        expect(Math.max(0, cursor.countBelow(bound))).toBe(exact);
        expect(cursor.isBelow(keyBound(bound))).toBe(exact > 0);
      }
      expect(cursor.countBelow(undefined)).toBe(KEYS.length - i);
      expect(cursor.isBelow(undefined)).toBe(true);
      expect(cursor.isDelete).toBe(i === 3);
    }
    expect([cursor.done, cursor.countBelow(undefined), cursor.isBelow(undefined)]).toEqual([
      true,
      0,
      false,
    ]);
  });
});

test.each([1, 2, 3, 7])('ends of ranges in chunks of %d, from every position', (perChunk) => {
  const chunks = chunksOf(RECORDS, perChunk);
  const others = [...KEYS, 7n, 2n ** 50n].map((key) => ({
    key,
    value: 1n,
    data: new Uint8Array(0),
  }));
  for (let i = 0; i < RECORDS.length; i++) {
    const cursor = new RunCursor(chunks);
    for (let step = 0; step < i; step++) cursor.next();
    const before = i - cursor.index;
    const inChunk = KEYS.slice(before, before + perChunk);
    expect(cursor.chunk.columns.firstKey).toBe(inChunk[0]);
    for (const other of others) {
      const end = Math.max(cursor.index, inChunk.filter((key) => key < other.key).length);
      expect(cursor.endBelow(keyBound(other.key))).toBe(end);
      expect(cursor.endBelowKeyOf(new RunCursor([columnsOf([other])]))).toBe(end);
    }
    expect(cursor.endBelow(undefined)).toBe(inChunk.length);
    const deleteAt = 3 - before >= cursor.index ? 3 - before : inChunk.length;
    expect(cursor.firstDelete(inChunk.length)).toBe(Math.min(deleteAt, inChunk.length));
    cursor.skipTo(inChunk.length);
    expect(cursor.done).toBe(before + inChunk.length === KEYS.length);
  }
});

test('takes a whole chunk if it is full, below the bound, and without deletes', () => {
  const chunks = chunksOf(
    RECORDS.map((record) => ({ ...record, value: record.value === 0n ? 1n : record.value })),
    2,
  );
  const cursor = new RunCursor(chunks);
  expect(cursor.takeWholeChunk(keyBound(1n))).toBe(undefined);
  expect(cursor.keyLow).toBe(0);
  expect(cursor.takeWholeChunk(keyBound(2n))).toBe(chunks[0]);
  expect(cursor.keyLow).toBe(2 ** 32 - 1);
  cursor.next();
  // It is no longer at the start of the chunk.
  expect(cursor.takeWholeChunk(undefined)).toBe(undefined);
  cursor.next();
  expect(cursor.takeWholeChunk(undefined)).toBe(chunks[2]);
  // The last chunk may be short.
  expect(cursor.takeWholeChunk(undefined)).toBe(undefined);
  expect(cursor.done).toBe(false);

  const withDelete = new RunCursor(chunksOf(RECORDS, 2));
  expect(withDelete.takeWholeChunk(undefined)).toBeDefined();
  expect(withDelete.takeWholeChunk(undefined)).toBe(undefined);
  expect(withDelete.index).toBe(0);
  expect(new RunCursor([]).takeWholeChunk(undefined)).toBe(undefined);
});

test('finds the lower bound of any key', () => {
  const columns = columnsOf(RECORDS.slice(1));
  const keys = KEYS.slice(1);
  for (const key of [0n, ...KEYS, 2n ** 33n, MAX - 2n]) {
    const expected = keys.filter((one) => one < key).length;
    expect(lowerBound(columns, key)).toBe(expected);
  }
});

test('handles an empty run', () => {
  expect(new RunCursor([]).done).toBe(true);
});
