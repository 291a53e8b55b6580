import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { countUpTo, Histogram, quantileOf } from '../src/base/histogram.ts';

const PER_UNIT = 1000;
const OCTAVES = 20;
const LARGEST = 2 ** OCTAVES / PER_UNIT;

/** Spread over all octaves; evenly drawn doubles would all be in the last ones. */
const value = fc
  .double({ min: -10, max: OCTAVES, noNaN: true })
  .map((exponent) => Math.min(LARGEST, 2 ** exponent / PER_UNIT));
const values = fc.array(value, { minLength: 1, maxLength: 200 });

function recorded(all: readonly number[]): Histogram {
  const histogram = new Histogram(PER_UNIT, OCTAVES);
  for (const one of all) histogram.record(one);
  return histogram;
}

test('a value is in a bucket whose width is at most an eighth', () => {
  fc.assert(
    fc.property(value, (one) => {
      const { buckets } = recorded([one]).snapshot();
      const [{ upTo, count }] = buckets as [{ upTo: number; count: number }];
      expect(count).toBe(1);
      expect(one).toBeLessThanOrEqual(upTo * (1 + 1e-12));
      if (one > 1 / PER_UNIT) expect(upTo).toBeLessThanOrEqual(one * 1.125 * (1 + 1e-12));
      else expect(upTo).toBe(1 / PER_UNIT);
    }),
  );
});

test('a quantile is never too low and at most an eighth too high', () => {
  fc.assert(
    fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (all, quantile) => {
      const sorted = all.toSorted((a, b) => a - b);
      const rank = Math.max(1, Math.ceil(quantile * all.length));
      const exact = sorted[rank - 1]!;
      const estimate = quantileOf(recorded(all).snapshot(), quantile);
      expect(estimate).toBeGreaterThanOrEqual(exact * (1 - 1e-12));
      expect(estimate).toBeLessThanOrEqual(Math.max(exact * 1.125, 1 / PER_UNIT) * (1 + 1e-12));
    }),
  );
});

test('counts and sums match the values, and buckets ascend', () => {
  fc.assert(
    fc.property(values, (all) => {
      const { count, sum, max, buckets } = recorded(all).snapshot();
      expect(count).toBe(all.length);
      const total = all.reduce((before, one) => before + one, 0);
      expect(sum).toBeCloseTo(total, 6);
      expect(max).toBe(Math.max(...all));
      expect(buckets.reduce((before, bucket) => before + bucket.count, 0)).toBe(count);
      const bounds = buckets.map(({ upTo }) => upTo);
      expect(bounds).toEqual(bounds.toSorted((a, b) => a - b));
    }),
  );
});

test('the count at a power of two is exact', () => {
  fc.assert(
    fc.property(values, fc.integer({ min: 0, max: OCTAVES }), (all, exponent) => {
      const bound = 2 ** exponent / PER_UNIT;
      // A value within rounding distance of the bound may be on either side of it.
      const clear = all.filter((one) => Math.abs(one - bound) > bound * 1e-12);
      const expected = clear.filter((one) => one < bound).length;
      expect(countUpTo(recorded(clear).snapshot(), bound)).toBe(expected);
    }),
  );
});
