import { expect, test } from 'vitest';
import { countUpTo, Histogram, quantileOf } from '../../src/base/histogram.ts';

test('an empty histogram has only zeros', () => {
  const empty = new Histogram(1000, 10).snapshot();
  expect(empty).toEqual({
    count: 0,
    sum: 0,
    max: 0,
    p50: 0,
    p90: 0,
    p99: 0,
    p999: 0,
    buckets: [],
  });
});

test('a bound belongs to the bucket below it', () => {
  const histogram = new Histogram(1, 10);
  for (const value of [1, 2, 2.0001, 4, 1024]) histogram.record(value);
  const snapshot = histogram.snapshot();
  expect(snapshot.buckets).toEqual([
    { upTo: 1, count: 1 },
    { upTo: 2, count: 1 },
    { upTo: 2.25, count: 1 },
    { upTo: 4, count: 1 },
    { upTo: 1024, count: 1 },
  ]);
  expect([0.5, 1, 2, 4, 512, 1024].map((bound) => countUpTo(snapshot, bound))).toEqual([
    0, 1, 2, 4, 4, 5,
  ]);
});

test('values out of range are counted in the outermost buckets', () => {
  const histogram = new Histogram(1, 2);
  for (const value of [-5, 0, 0.001, 4.1, 1e300, Infinity]) histogram.record(value);
  expect(histogram.snapshot().buckets).toEqual([
    { upTo: 1, count: 3 },
    { upTo: Infinity, count: 3 },
  ]);
  expect(histogram.snapshot().max).toBe(Infinity);
});

test('no quantile is above the largest value', () => {
  const histogram = new Histogram(1000, 34);
  histogram.record(3.3);
  expect(histogram.snapshot()).toMatchObject({ p50: 3.3, p999: 3.3, max: 3.3, sum: 3.3 });
  expect(() => quantileOf(histogram.snapshot(), 1.1)).toThrow(RangeError);
  expect(() => quantileOf(histogram.snapshot(), Number.NaN)).toThrow(RangeError);
});
