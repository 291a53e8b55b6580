import { splitU64, u64Halves } from '../base/u64.ts';

const MAX_U32 = 0xffff_ffff;

/** Values from `lowest` to `highest`, both in the range. A record's value is never 0. */
export interface ValueRange {
  readonly lowest: bigint;
  readonly highest: bigint;
}

/** Whether the value of these halves is in a range. */
export class ValueFilter {
  readonly #lowestLow: number;
  readonly #lowestHigh: number;
  readonly #highestLow: number;
  readonly #highestHigh: number;

  constructor({ lowest, highest }: ValueRange) {
    splitU64(lowest, 'lowest');
    this.#lowestLow = u64Halves[0]!;
    this.#lowestHigh = u64Halves[1]!;
    splitU64(highest, 'highest');
    this.#highestLow = u64Halves[0]!;
    this.#highestHigh = u64Halves[1]!;
  }

  accepts(low: number, high: number): boolean {
    const isBelow = high < this.#lowestHigh || (high === this.#lowestHigh && low < this.#lowestLow);
    const isAbove =
      high > this.#highestHigh || (high === this.#highestHigh && low > this.#highestLow);
    return !isBelow && !isAbove;
  }
}

/**
 * Writes the indexes of the values in a range to `indexes`, which has room for all, and returns how many there are.
 * Values are given as offsets from `base`, in halves; `highs` is null where all are below 2^32.
 */
export function findValues(
  range: ValueRange,
  base: bigint,
  lows: Uint32Array,
  highs: Uint32Array | null,
  indexes: Uint32Array,
): number {
  if (range.highest < base) return 0;
  const lowest = range.lowest > base ? range.lowest - base : 0n;
  const highest = range.highest - base;
  if (highs !== null) return findWide({ lowest, highest }, lows, highs, indexes);
  if (lowest > BigInt(MAX_U32)) return 0;
  const upTo = highest > BigInt(MAX_U32) ? MAX_U32 : Number(highest);
  return findNarrow(Number(lowest), upTo, lows, indexes);
}

/** One comparison each: what lies below the range wraps around to above it. */
function findNarrow(from: number, upTo: number, values: Uint32Array, indexes: Uint32Array): number {
  const span = upTo - from;
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    if ((values[i]! - from) >>> 0 <= span) indexes[count++] = i;
  }
  return count;
}

function findWide(
  range: ValueRange,
  lows: Uint32Array,
  highs: Uint32Array,
  indexes: Uint32Array,
): number {
  const filter = new ValueFilter(range);
  let count = 0;
  for (let i = 0; i < lows.length; i++) {
    if (filter.accepts(lows[i]!, highs[i]!)) indexes[count++] = i;
  }
  return count;
}
