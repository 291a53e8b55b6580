import { assert } from './assert.ts';

/** Eight buckets per octave: the bounds of a bucket differ by at most 12.5 %. */
const SUB_BITS = 3;
const BUCKETS_PER_OCTAVE: number = 2 ** SUB_BITS;
/** In the upper word of a double, the exponent begins at bit 20 and has a bias of 1,023. */
const SHIFT: number = 20 - SUB_BITS;
const INDEX_OF_ONE: number = 1023 << SUB_BITS;

/**
 * Scratch memory to read the bits of a value. Sharing it is safe, because recording is synchronous.
 */
const valueOf = new Float64Array(1);
const wordsOf = new Uint32Array(valueOf.buffer);

/** A copy of the recorded values. The name of the field that holds it gives the unit. */
export interface Distribution {
  readonly count: number;
  readonly sum: number;
  readonly max: number;
  /**
   * Quantiles: no lower than the true ones, and at most 12.5 % higher. 0 while nothing is recorded.
   */
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  /**
   * Non-empty buckets, ascending: the number of values above the previous bound and at most `upTo`.
   * Every power of two times the smallest unit is a bound. The last may be Infinity.
   */
  readonly buckets: readonly { readonly upTo: number; readonly count: number }[];
}

/**
 * Counts values in buckets whose width grows with the value. Recording reads the value's exponent
 * and the first bits of its mantissa, and allocates nothing.
 */
export class Histogram {
  readonly #perUnit: number;
  readonly #counts: Float64Array;
  #sum = 0;
  #max = 0;

  /**
   * Distinguishes values from `1 / perUnit` over `octaves` doublings. Values beyond are counted at
   * the ends.
   */
  constructor(perUnit: number, octaves: number) {
    assert(perUnit > 0 && octaves > 0, 'a histogram has a range');
    this.#perUnit = perUnit;
    this.#counts = new Float64Array(octaves * BUCKETS_PER_OCTAVE + 2);
  }

  /** Counts `value`. A negative value, after a clock was set back, counts as 0. */
  record(value: number): void {
    const positive = value > 0 ? value : 0;
    this.#sum += positive;
    if (positive > this.#max) this.#max = positive;
    this.#counts[this.#indexOf(positive)]!++;
  }

  /**
   * Bucket 0 ends at the smallest unit, bucket i > 0 at the i-th bound after it. Bounds are
   * inclusive.
   */
  #indexOf(value: number): number {
    valueOf[0] = value * this.#perUnit;
    // Little-endian, as all of lodestore. A value exactly on a bound belongs below it.
    const upper = wordsOf[1]! - (wordsOf[0] === 0 ? 1 : 0);
    const index = (upper >> SHIFT) - INDEX_OF_ONE + 1;
    const last = this.#counts.length - 1;
    return index < 0 ? 0 : index > last ? last : index;
  }

  #boundOf(index: number): number {
    if (index === this.#counts.length - 1) return Infinity;
    const octave = Math.floor(index / BUCKETS_PER_OCTAVE);
    const part = (index % BUCKETS_PER_OCTAVE) / BUCKETS_PER_OCTAVE;
    return (2 ** octave * (1 + part)) / this.#perUnit;
  }

  snapshot(): Distribution {
    const buckets: { upTo: number; count: number }[] = [];
    let count = 0;
    for (let i = 0; i < this.#counts.length; i++) {
      const inBucket = this.#counts[i]!;
      if (inBucket === 0) continue;
      count += inBucket;
      buckets.push({ upTo: this.#boundOf(i), count: inBucket });
    }
    const recorded = { count, sum: this.#sum, max: this.#max, buckets };
    return {
      count,
      sum: this.#sum,
      max: this.#max,
      p50: quantileOf(recorded, 0.5),
      p90: quantileOf(recorded, 0.9),
      p99: quantileOf(recorded, 0.99),
      p999: quantileOf(recorded, 0.999),
      buckets,
    };
  }
}

/**
 * The value that the share `quantile` of all values does not exceed: the bound of its bucket, or
 * the largest value if that is less. 0 while nothing is recorded. Throws RangeError unless 0 <=
 * quantile <= 1.
 */
export function quantileOf(
  distribution: Pick<Distribution, 'count' | 'max' | 'buckets'>,
  quantile: number,
): number {
  if (!(quantile >= 0 && quantile <= 1)) throw new RangeError('quantile must be from 0 to 1');
  const rank = Math.max(1, Math.ceil(quantile * distribution.count));
  let seen = 0;
  for (const { upTo, count } of distribution.buckets) {
    seen += count;
    if (seen >= rank) return Math.min(upTo, distribution.max);
  }
  return distribution.max;
}

/**
 * The number of values up to `bound`, which must be a bound of the histogram, such as a power of
 * two.
 */
export function countUpTo(distribution: Pick<Distribution, 'buckets'>, bound: number): number {
  let sum = 0;
  for (const { upTo, count } of distribution.buckets) if (upTo <= bound) sum += count;
  return sum;
}

/** A histogram of latencies in milliseconds, from 1 us to 2^34 us = 4.7 hours (a large merge). */
export function latencyHistogram(): Histogram {
  return new Histogram(1000, 34);
}
