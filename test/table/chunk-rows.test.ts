import { describe, expect, it } from 'vitest';

import { joinU64, splitU64, u64Halves } from '../../src/base/u64.ts';
import { ContentSum } from '../../src/format/content-sum.ts';
import type { Columns } from '../../src/format/columns.ts';
import { Chunk } from '../../src/table/chunk/chunk.ts';
import { rearrange, restore, rowWordsOf } from '../../src/table/chunk/chunk-rows.ts';
import { columnsOf } from '../support/columns.ts';
import { randomWords } from '../support/random.ts';

const COUNT = 700;
const GETS = 300;

interface Shape {
  readonly keys: bigint;
  readonly values: bigint;
  readonly dataBytes: number;
}

function columnsLike({ keys, values, dataBytes }: Shape): Columns {
  const words = randomWords(COUNT);
  const records = Array.from({ length: COUNT }, (_, i) => ({
    key: 5n + BigInt(i) * keys + BigInt(words() % 3),
    value: 9n + BigInt(words() % 1_000) * values,
    data: Uint8Array.from({ length: dataBytes }, () => words()),
  }));
  return columnsOf(records);
}

function getOften(chunk: Chunk, gets: number): void {
  for (let i = 0; i < gets; i++) {
    const index = i % chunk.recordCount;
    const found = chunk.recordOf(chunk.keyLowAt(index), chunk.keyHighAt(index));
    expect(found).toEqual(chunk.recordAt(index));
  }
}

function show(chunk: Chunk): unknown {
  const indexes = [...Array(chunk.recordCount).keys()];
  const sums = [new ContentSum(), new ContentSum(), new ContentSum()] as const;
  chunk.addAllTo(sums[0]);
  chunk.countRow(sums[1], 1, 17);
  chunk.countRow(sums[2], -1, 18);
  const matches = new Uint32Array(chunk.recordCount);
  const range = { lowest: chunk.valueAt(1), highest: chunk.valueAt(1) + (1n << 33n) };
  const matchCount = chunk.findValues(range, matches);
  const slice = chunk.slice(50, 150);
  const data = new Uint8Array(3_000);
  chunk.copyData(data, 3, 5, chunk.dataStartAt(9));
  return {
    records: indexes.map((i) => [chunk.keyAt(i), chunk.valueAt(i), chunk.recordAt(i)]),
    found: indexes.map((i) => chunk.find(chunk.keyLowAt(i), chunk.keyHighAt(i))),
    sums: sums.map(({ value }) => value),
    matches: matches.subarray(0, matchCount),
    data,
    slice: [...Array(100).keys()].map((i) => slice.recordAt(i)),
    memoryBytes: chunk.memoryBytes,
    isDelete: chunk.isDeleteAt(3),
  };
}

const wordShapes: [string, Shape][] = [
  ['narrow', { keys: 4n, values: 3n, dataBytes: 16 }],
  ['wide keys', { keys: 1n << 40n, values: 3n, dataBytes: 16 }],
  ['wide values', { keys: 4n, values: 1n << 33n, dataBytes: 4 }],
  ['wide keys and values', { keys: 1n << 52n, values: 1n << 33n, dataBytes: 20 }],
  ['long rows', { keys: 1n << 52n, values: 1n << 33n, dataBytes: 240 }],
];
const otherShapes: [string, Shape][] = [
  ['data of odd length', { keys: 4n, values: 3n, dataBytes: 15 }],
  ['rows that would be too long', { keys: 4n, values: 3n, dataBytes: 252 }],
];

describe('a chunk that is read often', () => {
  it.each([...wordShapes, ...otherShapes])('returns the same records: %s', (_, shape) => {
    const expected = show(new Chunk(columnsLike(shape), 'adopted'));
    const chunk = new Chunk(columnsLike(shape), 'adopted');
    getOften(chunk, GETS);
    expect(show(chunk)).toEqual(expected);
  });

  it.each(wordShapes)('is converted to rows: %s', (_, shape) => {
    const columns = columnsLike(shape);
    const before = columns.data.slice();
    const chunk = new Chunk(columns, 'adopted');
    getOften(chunk, 255);
    expect(columns.data).toEqual(before);
    getOften(chunk, 1);
    expect(columns.data).not.toEqual(before);
  });

  it.each([...wordShapes, ...otherShapes])('does not change borrowed columns: %s', (_, shape) => {
    const columns = columnsLike(shape);
    getOften(new Chunk(columns), GETS);
    expect(columns).toEqual(columnsLike(shape));
  });

  it('does not change columns that do not fill their buffer', () => {
    const columns = columnsLike({ keys: 4n, values: 3n, dataBytes: 8 });
    const larger = new Uint8Array(columns.data.buffer.byteLength + 8);
    larger.set(new Uint8Array(columns.data.buffer));
    const move = (column: Uint32Array): Uint32Array =>
      new Uint32Array(larger.buffer, column.byteOffset, column.length);
    const { keyLow, valueLow, data } = columns;
    const moved = {
      ...columns,
      keyLow: move(keyLow),
      valueLow: move(valueLow),
      data: new Uint8Array(larger.buffer, data.byteOffset, data.length),
    };
    expect([rowWordsOf(columns), rowWordsOf(moved)]).toEqual([4, 0]);
  });

  it('finds nothing that does not exist', () => {
    const chunk = new Chunk(columnsLike({ keys: 4n, values: 3n, dataBytes: 16 }), 'adopted');
    getOften(chunk, GETS);
    for (const key of [0n, 4n, chunk.keyAt(COUNT - 1) + 1n, 1n << 32n, (1n << 32n) + 5n]) {
      splitU64(key, 'key');
      expect(chunk.recordOf(u64Halves[0] ?? 0, u64Halves[1] ?? 0)).toBeUndefined();
    }
    expect(joinU64(chunk.keyLowAt(0), chunk.keyHighAt(0))).toBe(chunk.keyAt(0));
  });
});

it.each(wordShapes)('can be converted back to columns: %s', (_, shape) => {
  const columns = columnsLike(shape);
  rearrange(columns);
  expect(restore(columns)).toEqual(columnsLike(shape));
});
