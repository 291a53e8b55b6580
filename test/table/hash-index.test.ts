import { describe, expect, it } from 'vitest';

import { RowArena } from '../../src/table/delta/arena.ts';
import { HashIndex } from '../../src/table/delta/hash-index.ts';
import { HashSegment, SEGMENT_SLOTS } from '../../src/table/delta/hash-segment.ts';
import { hashKey } from '../../src/base/key-hash.ts';
import { randomWords } from '../support/random.ts';
import { writeRows } from '../support/rows.ts';

const COUNT = 60_000;
const ROW_BYTES = 20;

/** Adds rows of keys without data. Returns the offset of the first. */
function addRows(arena: RowArena, keys: readonly bigint[]): number {
  const region = arena.reserve(keys.length * ROW_BYTES);
  writeRows(
    region.bytes,
    keys.map((key) => ({ key, value: 1n })),
  );
  return region.position;
}

const words = randomWords(8);
const patterns: Record<string, (i: number) => bigint> = {
  sequential: (i) => BigInt(i),
  'multiples of 2^20': (i) => BigInt(i) << 20n,
  'multiples of 2^44': (i) => BigInt(i) << 44n,
  'both halves equal': (i) => (BigInt(i) << 32n) | BigInt(i),
  random: () => (BigInt(words()) << 32n) | BigInt(words()),
};

describe('HashIndex', () => {
  it.each(Object.entries(patterns))('finds every entry, also after growth: %s', (_, pattern) => {
    const arena = new RowArena();
    const index = new HashIndex(arena);
    const keys = Array.from({ length: COUNT }, (__, i) => pattern(i));
    const start = addRows(arena, keys);
    const halves = keys.map((key) => [Number(key & 0xffff_ffffn), Number(key >> 32n)] as const);
    let wrong = 0;
    halves.forEach(([low, high], i) => {
      if (index.find(low, high) !== -1) wrong++;
      if (index.put(low, high, start + i * ROW_BYTES) !== -1) wrong++;
    });
    halves.forEach(([low, high], i) => {
      if (index.find(low, high) !== start + i * ROW_BYTES) wrong++;
    });
    expect(wrong).toBe(0);
    expect(index.count).toBe(COUNT);
    // Slots of 8 bytes, at most six in ten free: keys of a pattern must be distributed like any
    // others.
    expect(index.memoryBytes).toBeLessThan(COUNT * 20);
  });

  it('returns the previous position of a key', () => {
    const arena = new RowArena();
    const index = new HashIndex(arena);
    const first = addRows(arena, [5n]);
    const second = addRows(arena, [5n]);
    expect(index.put(5, 0, first)).toBe(-1);
    expect(index.put(5, 0, second)).toBe(first);
    expect(index.find(5, 0)).toBe(second);
    expect(index.count).toBe(1);
  });
});

describe('groups that fail', () => {
  const KEPT = 1_000;
  const FAILED = 200_000;
  const GROUPS: [name: string, keyOf: (i: number) => number, rowCount: number][] = [
    ['one new key each', (i) => KEPT + i, 1],
    ['the same key again and again', () => KEPT, 1],
    ['a hundred new keys each', (i) => KEPT + i, 100],
  ];

  it.each(GROUPS)('leave no memory behind: %s', (_, keyOf, rowCount) => {
    const arena = new RowArena();
    const index = new HashIndex(arena);
    const kept = Array.from({ length: KEPT }, (__, i) => i);
    const keptAt = addRows(arena, kept.map(BigInt));
    const laterAt = addRows(arena, kept.map(BigInt));
    for (const key of kept) index.put(key, 0, keptAt + key * ROW_BYTES);
    const keys = Array.from({ length: FAILED }, (__, i) => keyOf(i));
    const failedAt = addRows(arena, keys.map(BigInt));
    let wrong = 0;
    for (let first = 0; first < FAILED; first += rowCount) {
      const group = keys.slice(first, first + rowCount);
      group.forEach((key, i) => {
        if (index.put(key, 0, failedAt + (first + i) * ROW_BYTES) !== -1) wrong++;
      });
      // One row of the group replaces a row that is kept.
      const replaced = first % KEPT;
      const before = index.put(replaced, 0, laterAt + replaced * ROW_BYTES);
      if (before !== keptAt + replaced * ROW_BYTES) wrong++;
      for (const key of group) index.restore(key, 0, -1);
      index.restore(replaced, 0, before);
      if (index.find(group[0]!, 0) !== -1) wrong++;
    }
    for (const key of kept) if (index.find(key, 0) !== keptAt + key * ROW_BYTES) wrong++;
    expect(wrong).toBe(0);
    expect(index.count).toBe(KEPT);
    expect(index.memoryBytes).toBeLessThan(64 * 1024);
  });

  it('free the slots at the end of a cluster at once', () => {
    const segment = new HashSegment(0);
    for (const slot of [3, 4, 5, 7]) segment.fill(slot, 1, slot);
    segment.abandon(4);
    segment.abandon(3);
    const isFilled = (slot: number): boolean => segment.slots[2 * slot] !== 0;
    // Searches for the row in slot 5 pass slots 3 and 4.
    expect([3, 4, 5, 7].map(isFilled)).toEqual([true, true, true, true]);
    segment.abandon(5);
    expect([3, 4, 5, 7].map(isFilled)).toEqual([false, false, false, true]);
  });
});

describe('a segment with a smaller depth than the directory', () => {
  it('splits into all of its entries in the directory', () => {
    const arena = new RowArena();
    const index = new HashIndex(arena);
    const keys = Array.from({ length: 2 * COUNT }, (_, i) => BigInt(i));
    // First all hashes of one half, then all of the other.
    keys.sort((a, b) => topBit(a) - topBit(b));
    const start = addRows(arena, keys);
    keys.forEach((key, i) => index.put(Number(key), 0, start + i * ROW_BYTES));
    const found = keys.map((key) => index.find(Number(key), 0));
    expect(found).toEqual(keys.map((_, i) => start + i * ROW_BYTES));
  });
});

function topBit(key: bigint): number {
  return hashKey(Number(key), 0) >>> 31;
}

describe('HashSegment', () => {
  it('splits by the next bit of the hash and loses no key', () => {
    const segment = new HashSegment(0, SEGMENT_SLOTS);
    const hashes = Array.from({ length: 1_000 }, (_, i) => hashKey(i, 0));
    hashes.forEach((hash, i) => segment.fill(i, hash, i));
    const sibling = segment.split();
    const positions = [segment, sibling].map(({ slots }) =>
      [...slots].filter((_, i) => i % 2 === 1 && slots[i - 1] !== 0),
    );
    expect(positions.flat().toSorted((a, b) => a - b)).toEqual(hashes.map((_, i) => i));
    expect(positions[1]?.every((i) => hashes[i]! >>> 31 === 1)).toBe(true);
    // Like a thousand throws of a fair coin.
    expect(positions[0]?.length).toBeGreaterThan(350);
    expect(positions[1]?.length).toBeGreaterThan(350);
    expect([segment.depth, sibling.depth]).toEqual([1, 1]);
  });
});
