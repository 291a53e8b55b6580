import { describe, expect, test } from 'vitest';
import { CHUNK_TARGET_BYTES, CHUNK_TARGET_RECORDS } from '../../src/base/limits.ts';
import { ColumnsBuilder } from '../../src/format/columns-builder.ts';
import type { Columns } from '../../src/format/columns.ts';
import { chunksOf } from '../support/columns.ts';

const SOURCE = Uint8Array.from({ length: 70_000 }, (_, i) => i * 31);

/** Chunks of records with ascending keys and data of these lengths, as the builder fills them. */
function built(lengths: readonly number[], limitRecords?: number): Columns[] {
  const builder = new ColumnsBuilder();
  if (limitRecords !== undefined) builder.limitRecords = limitRecords;
  const chunks: Columns[] = [];
  lengths.forEach((length, i) => {
    if (builder.isFullFor(length)) chunks.push(builder.finish());
    builder.append(i, 0, i + 1, 0, SOURCE, i % 7, length);
  });
  chunks.push(builder.finish());
  return chunks;
}

function plain(lengths: readonly number[], perChunk: number): Columns[] {
  const records = lengths.map((length, i) => ({
    key: BigInt(i),
    value: BigInt(i + 1),
    data: SOURCE.slice(i % 7, (i % 7) + length),
  }));
  return chunksOf(records, perChunk);
}

describe('a chunk is full', () => {
  test('at its records', () => {
    const lengths = Array.from({ length: 2 * CHUNK_TARGET_RECORDS + 1 }, (_, i) => i % 3);
    expect(built(lengths)).toEqual(plain(lengths, CHUNK_TARGET_RECORDS));
  });

  test('at fewer, where a range is split evenly', () => {
    const lengths = Array.from({ length: 1000 }, () => 4);
    expect(built(lengths, 300)).toEqual(plain(lengths, 300));
  });

  test('at its bytes, rows and all', () => {
    const perChunk = 4;
    const length = CHUNK_TARGET_BYTES / perChunk - 20;
    const lengths = Array.from({ length: 9 }, () => length);
    expect(built(lengths).map((chunk) => chunk.recordCount)).toEqual([4, 4, 1]);
    const longer = lengths.map(() => length + 1);
    expect(built(longer).map((chunk) => chunk.recordCount)).toEqual([3, 3, 3]);
  });
});

test('one record larger than a chunk has one of its own', () => {
  const builder = new ColumnsBuilder();
  const large = new Uint8Array(2 * CHUNK_TARGET_BYTES).fill(9);
  expect(builder.isFullFor(large.length)).toBe(false);
  builder.append(1, 0, 1, 0, large, 0, large.length);
  expect(builder.isFullFor(0)).toBe(true);
  expect(builder.finish().data).toEqual(large);
});
