import { describe, expect, it } from 'vitest';

import { MAX_U64 } from '../../src/base/limits.ts';
import { KeyDirectory, type KeySpan } from '../../src/table/chunk/key-directory.ts';
import { randomWords } from '../support/random.ts';

function spanOf(first: bigint, last: bigint): KeySpan {
  const low = (key: bigint): number => Number(key & 0xffff_ffffn);
  const high = (key: bigint): number => Number(key >> 32n);
  return {
    firstLow: low(first),
    firstHigh: high(first),
    lastLow: low(last),
    lastHigh: high(last),
  };
}

function locate(directory: KeyDirectory, key: bigint): number {
  return directory.locate(Number(key & 0xffff_ffffn), Number(key >> 32n));
}

const words = randomWords(4);
const sorted = (keys: bigint[]): bigint[] =>
  [...new Set(keys)].toSorted((a, b) => (a < b ? -1 : 1));
const cases: Record<string, bigint[]> = {
  one: [100n],
  'one at 0': [0n],
  'two far apart': [0n, MAX_U64],
  dense: Array.from({ length: 300 }, (_, i) => BigInt(i) * 2n),
  'dense at the top': Array.from({ length: 300 }, (_, i) => MAX_U64 - 600n + BigInt(i) * 2n),
  random: sorted(Array.from({ length: 500 }, () => (BigInt(words()) << 32n) | BigInt(words()))),
  'all but one in one bucket': [...Array.from({ length: 200 }, (_, i) => BigInt(i) * 2n), MAX_U64],
  'across 2^32': Array.from({ length: 50 }, (_, i) => 2n ** 32n - 50n + BigInt(i) * 2n),
};

describe('KeyDirectory', () => {
  it.each(Object.entries(cases))('locates the chunk of any key: %s', (_, firsts) => {
    const directory = new KeyDirectory(firsts.map((first) => spanOf(first, first)));
    firsts.forEach((first, i) => {
      expect(locate(directory, first)).toBe(i);
      if (first > 0n && firsts[i - 1] !== first - 1n) {
        expect(locate(directory, first - 1n)).toBe(i - 1);
      }
      if (first < MAX_U64 && firsts[i + 1] !== first + 1n) {
        expect(locate(directory, first + 1n)).toBe(i);
      }
    });
    expect(locate(directory, MAX_U64)).toBe(firsts.length - 1);
  });

  it('locates nothing without chunks', () => {
    expect(locate(new KeyDirectory([]), 5n)).toBe(-1);
  });

  it('refuses chunks that overlap or do not ascend', () => {
    expect(() => new KeyDirectory([spanOf(1n, 5n), spanOf(5n, 6n)])).toThrow(/ascend/);
    expect(() => new KeyDirectory([spanOf(9n, 9n), spanOf(5n, 6n)])).toThrow(/ascend/);
  });
});
