import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { keyOrder } from '../../src/jobs/key-order.ts';

/** The plain way: a stable sort of the indices. */
function sortedOrder(keys: readonly bigint[]): number[] {
  return keys
    .map((key, i) => ({ key, i }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.i - b.i))
    .map(({ i }) => i);
}

function order(keys: readonly bigint[], spare = 0): number[] {
  const low = new Uint32Array(keys.length + spare).fill(1);
  const high = new Uint32Array(keys.length + spare);
  low.set(keys.map((key) => Number(key & 0xffff_ffffn)));
  high.set(keys.map((key) => Number(key >> 32n)));
  return [...keyOrder(low, high, keys.length)];
}

/** Keys that look random, `bits` wide, many of them equal if narrow. */
function scattered(count: number, bits: bigint): bigint[] {
  let state = 1n;
  return Array.from({ length: count }, () => {
    state = (state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n) % 2n ** 64n;
    return state >> (64n - bits);
  });
}

describe('counting and comparing agree with a plain sort', () => {
  test.each([
    [0, 64n],
    [1, 64n],
    [2047, 64n],
    [2048, 64n],
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

  test('keys that differ in one 16-bit part only', () => {
    for (const shift of [0n, 16n, 32n, 48n]) {
      const keys = scattered(3000, 16n).map((part) => part << shift);
      expect(order(keys)).toEqual(sortedOrder(keys));
    }
  });

  test('ascending, with equal neighbours, and descending', () => {
    const ascending = Array.from({ length: 4000 }, (_, i) => BigInt(i >> 1) << 31n);
    expect(order(ascending)).toEqual(sortedOrder(ascending));
    const descending = ascending.toReversed();
    expect(order(descending)).toEqual(sortedOrder(descending));
  });
});

test('any few keys', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(fc.bigInt({ min: 0n, max: 3n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
      ),
      (keys) => {
        expect(order(keys)).toEqual(sortedOrder(keys));
      },
    ),
  );
});
