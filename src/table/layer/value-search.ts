import { splitU64, u64Halves } from '../../base/u64.ts';

const MAX_U32 = 0xffff_ffff;

/** Values from `lowest` to `highest`, inclusive. A record's value is never 0. */
export interface ValueRange {
  readonly lowest: bigint;
  readonly highest: bigint;
}

/** Tests whether a u64, in halves, is in a range. */
export class U64Filter {
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

/** The rows to search for. `keys` undefined: any key. */
export interface Sought {
  readonly values: U64Filter;
  readonly keys: U64Filter | undefined;
}

/** Locations in `words` of the values of `count` records, minus a base, `stride` words apart. */
export interface ValuePlaces {
  readonly words: Uint32Array;
  readonly count: number;
  readonly stride: number;
  readonly lowAt: number;
  /** Negative if all high halves are 0. */
  readonly highAt: number;
}

/**
 * Writes the indexes of the values in a range to `indexes`, which must have space for all. Returns
 * their number. Values are stored as offsets from `base`.
 */
export function findValues(
  range: ValueRange,
  base: bigint,
  places: ValuePlaces,
  indexes: Uint32Array,
): number {
  if (range.highest < base) return 0;
  const lowest = range.lowest > base ? range.lowest - base : 0n;
  const highest = range.highest - base;
  if (places.highAt >= 0) return findWide({ lowest, highest }, places, indexes);
  if (lowest > BigInt(MAX_U32)) return 0;
  const upTo = highest > BigInt(MAX_U32) ? MAX_U32 : Number(highest);
  return findNarrow(Number(lowest), upTo, places, indexes);
}

/** One comparison per value: a value below the range wraps around to above it. */
function findNarrow(
  from: number,
  upTo: number,
  { words, count, stride, lowAt }: ValuePlaces,
  indexes: Uint32Array,
): number {
  const span = upTo - from;
  let found = 0;
  for (let i = 0, place = lowAt; i < count; i++, place += stride) {
    if ((words[place]! - from) >>> 0 <= span) indexes[found++] = i;
  }
  return found;
}

function findWide(
  range: ValueRange,
  { words, count, stride, lowAt, highAt }: ValuePlaces,
  indexes: Uint32Array,
): number {
  const filter = new U64Filter(range);
  const highFrom = highAt - lowAt;
  let found = 0;
  for (let i = 0, place = lowAt; i < count; i++, place += stride) {
    if (filter.accepts(words[place]!, words[place + highFrom]!)) indexes[found++] = i;
  }
  return found;
}
