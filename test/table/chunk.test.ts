import { describe, expect, it } from 'vitest';

import { MAX_U64 } from '../../src/base/limits.ts';
import { joinU64, splitU64, u64Halves } from '../../src/base/u64.ts';
import { Chunk } from '../../src/table/chunk/chunk.ts';
import { columnsOf, type TestRecord } from '../support/columns.ts';
import { randomWords } from '../support/random.ts';

const COUNT = 3_000;

function keysOf(next: (i: number) => bigint): bigint[] {
  const keys = new Set<bigint>();
  for (let i = 0; i < COUNT; i++) keys.add(BigInt.asUintN(64, next(i)));
  return [...keys].toSorted((a, b) => (a < b ? -1 : 1));
}

function recordsOf(keys: readonly bigint[]): TestRecord[] {
  return keys.map((key, i) => ({
    key,
    value: BigInt(i) + 1n,
    data: Uint8Array.of(i & 255, i >> 8),
  }));
}

function random64(seed: number): () => bigint {
  const words = randomWords(seed);
  return () => (BigInt(words()) << 32n) | BigInt(words());
}

const any64 = random64(1);
const distributions: Record<string, bigint[]> = {
  'one key': [7n],
  'two keys far apart': [0n, MAX_U64],
  dense: keysOf((i) => BigInt(i) + 10n),
  'dense to the end': keysOf((i) => MAX_U64 - BigInt(i)),
  'dense with gaps': keysOf((i) => BigInt(i + Math.floor(i / 7) * 3)),
  'random u64': keysOf(any64),
  'random u32': keysOf(() => any64() >> 32n),
  'high halves equal in long runs': keysOf((i) => (BigInt(i >> 9) << 32n) | (any64() & 0xffffn)),
  'two clusters': keysOf((i) => (i % 2 === 0 ? BigInt(i) : (1n << 62n) + BigInt(i))),
  'narrow with one outlier': keysOf((i) => (i === 0 ? 0xffff_0000n : BigInt(i))),
  'wide with one outlier': keysOf((i) => (i === 0 ? MAX_U64 : BigInt(i))),
  'narrow, dense at the end': keysOf((i) => (i === 0 ? 1n : 0xf000_0000n + BigInt(i))),
  'wide, dense at the end': keysOf((i) => (i === 0 ? 1n : (1n << 62n) + (BigInt(i) << 32n))),
  'one high half for many, where it is guessed': keysOf((i) => {
    if (i < 1_000) return BigInt(i) << 32n;
    return i === 1_000 ? 3_000n << 32n : (1_000n << 32n) + BigInt(i);
  }),
  'powers of two': keysOf((i) => 1n << BigInt(i % 64)),
  'powers of two, filled up': keysOf((i) => (1n << BigInt(i % 64)) + BigInt(i)),
};

function lowerBound(chunk: Chunk, key: bigint): number {
  splitU64(key, 'key');
  return chunk.lowerBound(u64Halves[0] ?? 0, u64Halves[1] ?? 0);
}

function find(chunk: Chunk, key: bigint): number {
  splitU64(key, 'key');
  return chunk.find(u64Halves[0] ?? 0, u64Halves[1] ?? 0);
}

describe('Chunk', () => {
  it.each(Object.entries(distributions))('finds keys, and the places of others: %s', (_, keys) => {
    const chunk = new Chunk(columnsOf(recordsOf(keys)));
    keys.forEach((key, i) => {
      expect(find(chunk, key)).toBe(i);
      expect(lowerBound(chunk, key)).toBe(i);
      expect(joinU64(chunk.keyLowAt(i), chunk.keyHighAt(i))).toBe(key);
      const after = key + 1n;
      if (after > MAX_U64) return;
      expect(lowerBound(chunk, after)).toBe(i + 1);
      expect(find(chunk, after)).toBe(keys[i + 1] === after ? i + 1 : -1);
      if (key > 0n) expect(find(chunk, key - 1n)).toBe(keys[i - 1] === key - 1n ? i - 1 : -1);
    });
    expect(lowerBound(chunk, 0n)).toBe(0);
  });

  it.each([
    ['even lengths', 1n, [3, 3, 3]],
    ['no data', 1n, [0, 0, 0]],
    ['lengths that differ', 1n, [0, 5, 2]],
    ['values that need both halves', 1n << 40n, [1, 2, 3]],
    ['values up to the highest', (MAX_U64 - 5n) / 2n, [1, 1, 1]],
  ])('gives back what was put in: %s', (_, factor, lengths) => {
    const records = lengths.map((length, i) => ({
      key: BigInt(i) * 1_000n,
      value: 5n + factor * BigInt(i),
      data: new Uint8Array(length).fill(i + 1),
    }));
    const chunk = new Chunk(columnsOf(records));
    records.forEach(({ key, value, data }, i) => {
      expect(chunk.recordAt(i)).toEqual({ value, data });
      splitU64(key, 'key');
      expect(chunk.recordOf(u64Halves[0] ?? 0, u64Halves[1] ?? 0)).toEqual({ value, data });
      expect(chunk.recordOf((u64Halves[0] ?? 0) + 1, u64Halves[1] ?? 0)).toBeUndefined();
      expect(chunk.isDeleteAt(i)).toBe(false);
    });
  });

  it('returns copies of data', () => {
    const chunk = new Chunk(columnsOf(recordsOf([1n, 2n])));
    chunk.recordAt(0).data.fill(99);
    chunk.recordOf(1, 0)?.data.fill(99);
    expect(chunk.recordAt(0).data).toEqual(Uint8Array.of(0, 0));
  });

  it('detects deletes by their value 0', () => {
    const data = new Uint8Array(0);
    const chunk = new Chunk(
      columnsOf([
        { key: 1n, value: 0n, data },
        { key: 2n, value: 1n << 33n, data },
      ]),
    );
    expect([chunk.isDeleteAt(0), chunk.isDeleteAt(1)]).toEqual([true, false]);
  });

  it.each(Object.entries(distributions))('extracts any part: %s', (_, keys) => {
    const records = recordsOf(keys).map((record, i) => ({
      ...record,
      data: record.data.subarray(0, i % 3),
    }));
    const chunk = new Chunk(columnsOf(records));
    const from = Math.floor(keys.length / 3);
    const part = chunk.slice(from, keys.length);
    expect(part.recordCount).toBe(keys.length - from);
    for (let i = 0; i < part.recordCount; i++) {
      expect(joinU64(part.keyLowAt(i), part.keyHighAt(i))).toBe(keys[from + i]);
      expect(part.recordAt(i)).toEqual(chunk.recordAt(from + i));
    }
  });
});

it('finds the last key if its slot is rounded up to the end', () => {
  // That depends on the last bits of the span, so many are tried.
  for (let round = 0; round < 300; round++) {
    const next = random64(1_000 + round);
    const keys = Array.from({ length: 257 }, next).toSorted((a, b) => (a < b ? -1 : 1));
    // The bytes after the keys look like a lower key.
    const data = new Uint8Array(8);
    const chunk = new Chunk(columnsOf(keys.map((key) => ({ key, value: 1n, data }))));
    for (const key of keys) find(chunk, key);
    expect(keys.map((key) => find(chunk, key))).toEqual(keys.map((_, i) => i));
  }
});
