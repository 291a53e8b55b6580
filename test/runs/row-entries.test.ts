import { describe, expect, test } from 'vitest';
import { finishSteps } from '../../src/base/steps.ts';
import { RUN_ENTRY_WORDS, sortEntries } from '../../src/runs/row-entries.ts';

/** The simple way: a stable sort of the indices. */
function sortedOrder(keys: readonly bigint[]): number[] {
  return keys
    .map((key, i) => ({ key, i }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.i - b.i))
    .map(({ i }) => i);
}

/** Sorts entries whose block is their index and whose offset is twice the index. */
function order(keys: readonly bigint[], spare = 0): number[] {
  const entries = new Uint32Array(RUN_ENTRY_WORDS * (keys.length + spare)).fill(1);
  keys.forEach((key, i) => {
    entries.set([Number(key & 0xffff_ffffn), Number(key >> 32n), i, 2 * i], RUN_ENTRY_WORDS * i);
  });
  const sorted = finishSteps(sortEntries(entries, keys.length));
  return keys.map((_, i) => {
    const [low, high, block, offset] = sorted.subarray(
      RUN_ENTRY_WORDS * i,
      RUN_ENTRY_WORDS * (i + 1),
    );
    expect((BigInt(high!) << 32n) | BigInt(low!)).toBe(keys[block!]);
    expect(offset).toBe(2 * block!);
    return block!;
  });
}

/** Keys that look random, `bits` wide; with few bits, many are equal. */
function scattered(count: number, bits: bigint): bigint[] {
  let state = 1n;
  return Array.from({ length: count }, () => {
    state = (state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n) % 2n ** 64n;
    return state >> (64n - bits);
  });
}

describe('entries are sorted like by a plain stable sort', () => {
  test.each([
    [0, 64n],
    [1, 64n],
    [2, 64n],
    [5000, 64n],
    [5000, 40n],
    [5000, 17n],
    [5000, 9n],
    [5000, 1n],
  ])('%d keys of %d bits', (count, bits) => {
    const keys = scattered(count, bits);
    expect(order(keys)).toEqual(sortedOrder(keys));
    expect(order(keys, 77)).toEqual(sortedOrder(keys));
  });

  test('keys that differ in one byte only', () => {
    for (let shift = 0n; shift < 64n; shift += 8n) {
      const keys = scattered(700, 8n).map((byte) => byte << shift);
      expect(order(keys)).toEqual(sortedOrder(keys));
    }
  });

  test('keys whose high bytes are constant are sorted by the low ones', () => {
    const bytes = scattered(3000, 8n);
    const low = scattered(3000, 17n);
    const keys = bytes.map((byte, i) => (byte << 56n) | (byte << 48n) | (byte << 40n) | low[i]!);
    expect(order(keys)).toEqual(sortedOrder(keys));
  });

  test('a few keys far from where their high bytes place them, equal ones among them', () => {
    const keys = scattered(5000, 64n);
    for (let i = 0; i < keys.length; i += 500) keys[i] = keys[(i + 250) % keys.length]!;
    for (let i = 100; i < 200; i++) keys[i] = (keys[99]! & ~0xffn) | BigInt(200 - i);
    expect(order(keys)).toEqual(sortedOrder(keys));
  });

  test('ascending keys, with equal neighbours, and descending keys', () => {
    const ascending = Array.from({ length: 4000 }, (_, i) => BigInt(i >> 1) << 31n);
    expect(order(ascending)).toEqual(sortedOrder(ascending));
    const descending = ascending.toReversed();
    expect(order(descending)).toEqual(sortedOrder(descending));
  });
});
