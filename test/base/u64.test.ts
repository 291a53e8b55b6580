import { describe, expect, it } from 'vitest';

import { checkU64, compareU64, joinU64, splitU64, u64Halves } from '../../src/base/u64.ts';

const P64 = 2n ** 64n;

describe('splitU64', () => {
  it.each([0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n + 1n, P64 - 1n])('splits %s', (value) => {
    splitU64(value, 'key');
    expect(BigInt(u64Halves[0] ?? -1)).toBe(value & 0xffff_ffffn);
    expect(BigInt(u64Halves[1] ?? -1)).toBe(value >> 32n);
    expect(joinU64(Number(value & 0xffff_ffffn), Number(value >> 32n))).toBe(value);
    expect(checkU64(value, 'key')).toBe(value);
  });

  it.each([0, -0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 52 + 1, Number.MAX_SAFE_INTEGER])(
    'splits the number %s like the bigint',
    (value) => {
      expect(checkU64(value, 'key')).toBe(BigInt(value));
    },
  );

  it.each([-1n, P64, P64 + 5n, -P64, -1, 0.5, 2 ** 53, NaN, Infinity])(
    'refuses %s and names the argument and the bound',
    (value) => {
      expect(() => splitU64(value, 'gte')).toThrow(RangeError);
      expect(() => splitU64(value, 'gte')).toThrow(/gte must be .* from 0 to 18446744073709551615/);
    },
  );

  it.each<unknown>([undefined, null, '1', {}, true])('refuses the type of %s', (value) => {
    expect(() => splitU64(value as bigint, 'key')).toThrow(TypeError);
    expect(() => splitU64(value as bigint, 'key')).toThrow(/key must be/);
  });
});

describe('compareU64', () => {
  it('compares the high halves first', () => {
    expect(compareU64(5, 1, 4, 1)).toBeGreaterThan(0);
    expect(compareU64(5, 1, 4, 2)).toBeLessThan(0);
    expect(compareU64(5, 1, 5, 1)).toBe(0);
    expect(compareU64(0xffff_ffff, 0, 0, 0xffff_ffff)).toBeLessThan(0);
  });
});
