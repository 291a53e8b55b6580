import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { CHUNK_TARGET_BYTES, CHUNK_TARGET_RECORDS } from '../../src/base/limits.ts';
import { ColumnsBuilder } from '../../src/format/columns-builder.ts';
import type { Columns } from '../../src/format/columns.ts';
import {
  chunksOf,
  columnsOf,
  filledChunksOf,
  splitOf,
  type TestRecord,
} from '../support/columns.ts';

const SOURCE = Uint8Array.from({ length: 70_000 }, (_, i) => i * 31);

function recordsOf(lengths: readonly number[]): TestRecord[] {
  return lengths.map((length, i) => ({
    key: BigInt(i),
    value: BigInt(i + 1),
    data: SOURCE.slice(i % 7, (i % 7) + length),
  }));
}

/** Chunks that the builder makes from records with ascending keys and data of these lengths. */
function built(lengths: readonly number[], limitRecords?: number): Columns[] {
  const builder = new ColumnsBuilder();
  if (limitRecords !== undefined) builder.limitRecords = limitRecords;
  const chunks: Columns[] = [];
  for (const record of recordsOf(lengths)) {
    const source = splitOf(columnsOf([record]));
    if (builder.appendRange(source, 0, 1) === 1) continue;
    chunks.push(builder.finish());
    builder.appendRange(source, 0, 1);
  }
  chunks.push(builder.finish());
  return chunks;
}

function plain(lengths: readonly number[], perChunk: number): Columns[] {
  return chunksOf(recordsOf(lengths), perChunk);
}

describe('a chunk is full', () => {
  test('at its maximum of records', () => {
    const lengths = Array.from({ length: 2 * CHUNK_TARGET_RECORDS + 1 }, (_, i) => i % 3);
    expect(built(lengths)).toEqual(plain(lengths, CHUNK_TARGET_RECORDS));
  });

  test('with fewer records, if a range is split evenly', () => {
    const lengths = Array.from({ length: 1000 }, () => 4);
    expect(built(lengths, 300)).toEqual(plain(lengths, 300));
  });

  test('at its maximum of bytes, including rows', () => {
    const perChunk = 4;
    const length = CHUNK_TARGET_BYTES / perChunk - 20;
    const lengths = Array.from({ length: 9 }, () => length);
    expect(built(lengths).map((chunk) => chunk.recordCount)).toEqual([4, 4, 1]);
    const longer = lengths.map(() => length + 1);
    expect(built(longer).map((chunk) => chunk.recordCount)).toEqual([3, 3, 3]);
  });
});

test('and a record larger than a chunk has a separate chunk', () => {
  const builder = new ColumnsBuilder();
  const large = new Uint8Array(2 * CHUNK_TARGET_BYTES).fill(9);
  const records = [large, new Uint8Array(0)].map((data, i) => ({
    key: BigInt(i),
    value: 1n,
    data,
  }));
  expect(builder.appendRange(splitOf(columnsOf(records)), 0, 2)).toBe(1);
  expect(builder.finish().data).toEqual(large);
});

/**
 * As {@link built}, but from ranges: `cuts` are the numbers of records in one set of columns and
 * one call.
 */
function builtByRanges(records: readonly TestRecord[], cuts: readonly number[]): Columns[] {
  const builder = new ColumnsBuilder();
  const chunks: Columns[] = [];
  let next = 0;
  for (let i = 0; next < records.length; i++) {
    const size = cuts[i % cuts.length]!;
    // The first record of the columns is not in the range.
    const first = Math.max(0, next - 1);
    const columns = columnsOf(records.slice(first, next + size));
    for (let from = next - first; from < columns.recordCount;) {
      const to = builder.appendRange(splitOf(columns), from, columns.recordCount);
      if (to === from) chunks.push(builder.finish());
      from = to;
    }
    next += size;
  }
  chunks.push(builder.finish());
  return chunks;
}

/** Long data are compared as text, which is fast. */
function toPlain(columns: Columns): object {
  return { ...columns, data: Buffer.from(columns.data).toString('latin1') };
}

const NEAR_FULL = CHUNK_TARGET_BYTES / 4 - 20;
const someLengths = fc.oneof(
  fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 40 }),
  fc.array(fc.constantFrom(NEAR_FULL, NEAR_FULL + 1, 1, 70_000 - 7), {
    minLength: 1,
    maxLength: 9,
  }),
  fc
    .tuple(fc.constantFrom(0, 16), fc.integer({ min: 1, max: 30 }))
    .map(([length, count]) => Array.from({ length: count }, () => length)),
);

test('ranges of columns make the same chunks as their records one by one', () => {
  const someCuts = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 5 });
  const someStep = fc.constantFrom(1n, 2n ** 31n, 2n ** 40n + 3n);
  fc.assert(
    fc.property(someLengths, someCuts, someStep, (lengths, cuts, step) => {
      const records = lengths.map((length, i) => ({
        key: 5n + BigInt(i) * step,
        value: 1n + BigInt(i % 3) * step,
        data: SOURCE.slice(i % 7, (i % 7) + length),
      }));
      const chunks = filledChunksOf(records);
      expect(builtByRanges(records, cuts).map(toPlain)).toEqual(chunks.map(toPlain));
    }),
    { numRuns: 50 },
  );
});

test('a range ends where the chunk has its maximum of records', () => {
  const records = Array.from({ length: 10 }, (_, i) => ({
    key: BigInt(i),
    value: 1n,
    data: new Uint8Array(2),
  }));
  const builder = new ColumnsBuilder();
  builder.limitRecords = 7;
  const source = splitOf(columnsOf(records));
  expect(builder.appendRange(source, 1, 10)).toBe(8);
  expect(builder.appendRange(source, 8, 10)).toBe(8);
  expect(builder.finish().recordCount).toBe(7);
  expect(builder.appendRange(source, 8, 10)).toBe(10);
});
