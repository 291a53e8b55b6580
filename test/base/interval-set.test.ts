import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_U64 } from '../../src/base/limits.ts';
import { IntervalSet, type KeyInterval } from '../../src/base/interval-set.ts';

/** Few keys, at both ends of their range and around 2^32. */
const KEYS = [0n, 1n, 2n, 3n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 32n + 1n, MAX_U64 - 1n, MAX_U64];

const interval: fc.Arbitrary<KeyInterval> = fc
  .tuple(fc.constantFrom(...KEYS), fc.constantFrom(...KEYS))
  .map(([a, b]) => (a < b ? { lowest: a, highest: b } : { lowest: b, highest: a }));

const has = (set: IntervalSet, key: bigint): boolean =>
  set.has(Number(key & 0xffff_ffffn), Number(key >> 32n));

const isIn = (intervals: readonly KeyInterval[], key: bigint): boolean =>
  intervals.some(({ lowest, highest }) => lowest <= key && key <= highest);

test('it has the keys of the intervals that were added, in any order', () => {
  fc.assert(
    fc.property(fc.array(interval), fc.infiniteStream(fc.nat()), (intervals, picks) => {
      const set = new IntervalSet(intervals);
      const left = [...intervals];
      const added: KeyInterval[] = [];
      expect([set.isEmpty, KEYS.some((key) => has(set, key))]).toEqual([true, false]);
      while (left.length > 0) {
        const [next] = left.splice(picks.next().value! % left.length, 1);
        set.add(next!);
        added.push(next!);
        expect(set.isEmpty).toBe(false);
        expect(KEYS.map((key) => has(set, key))).toEqual(KEYS.map((key) => isIn(added, key)));
        const found = set.intervals();
        expect(KEYS.map((key) => isIn(found, key))).toEqual(KEYS.map((key) => isIn(added, key)));
        for (const [i, { lowest }] of found.entries()) {
          if (i > 0) expect(lowest).toBeGreaterThan(found[i - 1]!.highest + 1n);
        }
      }
    }),
  );
});
