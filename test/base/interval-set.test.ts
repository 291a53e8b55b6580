import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_U64 } from '../../src/base/limits.ts';
import {
  IntervalBounds,
  IntervalList,
  intervalOf,
  IntervalSet,
  unionOf,
  type IntervalWords,
  type KeyInterval,
} from '../../src/base/interval-set.ts';
import { finishSteps, type Steps } from '../../src/base/steps.ts';
import { randomWords } from '../support/random.ts';

/** Few keys, at both ends of their range and around 2^32. */
const KEYS = [0n, 1n, 2n, 3n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 32n + 1n, MAX_U64 - 1n, MAX_U64];

const interval: fc.Arbitrary<KeyInterval> = fc
  .tuple(fc.constantFrom(...KEYS), fc.constantFrom(...KEYS))
  .map(([a, b]) => (a < b ? { lowest: a, highest: b } : { lowest: b, highest: a }));

const has = (set: IntervalSet, key: bigint): boolean =>
  set.has(Number(key & 0xffff_ffffn), Number(key >> 32n));

const isIn = (intervals: readonly KeyInterval[], key: bigint): boolean =>
  intervals.some(({ lowest, highest }) => lowest <= key && key <= highest);

function wordsOf(intervals: readonly KeyInterval[]): IntervalWords {
  const list = new IntervalList();
  for (const one of intervals) list.add(one);
  return list.words;
}

const intervalsOf = (words: IntervalWords): KeyInterval[] =>
  Array.from({ length: words.length / 2 }, (_, i) => intervalOf(words, i));

test('it has the keys of the intervals that were added, in any order', () => {
  fc.assert(
    fc.property(fc.array(interval), fc.infiniteStream(fc.nat()), (intervals, picks) => {
      const set = IntervalSet.for(intervals);
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
        const half = added.length >>> 1;
        const lists = [wordsOf(added.slice(0, half)), wordsOf(added.slice(half))];
        expect(intervalsOf(finishSteps(unionOf(lists)))).toEqual(found);
      }
    }),
  );
});

test('thousands of intervals are sorted and added in steps', () => {
  const random = randomWords(3);
  const wide = (): bigint => (BigInt(random() % 3) << 32n) + BigInt(random() % 30_000);
  const intervals = Array.from({ length: 20_000 }, (_, i): KeyInterval => {
    const lowest = wide();
    return { lowest, highest: lowest + BigInt(i % 3) };
  });
  const bounds = new IntervalBounds(intervals.length);
  for (const one of intervals) bounds.add(one);
  const { steps: sortSteps, result: starts } = counted(bounds.starts());
  expect(sortSteps).toBeGreaterThan(20);
  const expected = intervals.flatMap(({ lowest, highest }) => [lowest, highest + 1n]);
  expect([...starts]).toEqual([...new Set(expected)].toSorted((a, b) => (a < b ? -1 : 1)));
  const set = new IntervalSet(starts);
  for (const one of intervals.slice(1)) set.add(one);
  const found = new Set<bigint>();
  for (const { lowest, highest } of intervals.slice(1)) {
    for (let key = lowest; key <= highest; key++) found.add(key);
  }
  for (let i = 0; i < 3_000; i++) {
    const key = wide();
    expect(has(set, key)).toBe(found.has(key));
  }
  const whole = IntervalSet.for([...intervals, { lowest: 0n, highest: MAX_U64 }]);
  expect(counted(whole.addInSteps({ lowest: 0n, highest: MAX_U64 })).steps).toBeGreaterThan(3);
  expect(whole.intervals()).toEqual([{ lowest: 0n, highest: MAX_U64 }]);
});

function counted<T>(all: Steps<T>): { readonly steps: number; readonly result: T } {
  for (let steps = 0; ; steps++) {
    const step = all.next();
    if (step.done === true) return { steps, result: step.value };
  }
}
