import { MAX_U64 } from './limits.ts';

/** Keys from `lowest` to `highest`, both included. */
export interface KeyInterval {
  readonly lowest: bigint;
  readonly highest: bigint;
}

/**
 * The keys of the intervals that were added. All intervals that may be added are given at first.
 * Their bounds divide the keys into stretches, and `add` marks the stretches of an interval.
 * `#next` links each marked stretch to the next one that may not be marked (union-find), so marked
 * ones are passed over: adding all intervals takes about as long as sorting them, however they
 * overlap. A lookup is a binary search.
 */
export class IntervalSet {
  /** First keys of the stretches, ascending. The last stretch ends at the highest key. */
  readonly #starts: BigUint64Array;
  readonly #startHalves: Uint32Array;
  /** A stretch that is not marked links to itself. The last link is of no stretch. */
  readonly #next: Uint32Array;
  isEmpty = true;

  constructor(intervals: readonly KeyInterval[]) {
    const bounds = new BigUint64Array(2 * intervals.length);
    let count = 0;
    for (const { lowest, highest } of intervals) {
      bounds[count++] = lowest;
      if (highest < MAX_U64) bounds[count++] = highest + 1n;
    }
    this.#starts = distinct(bounds.subarray(0, count).sort());
    this.#startHalves = new Uint32Array(this.#starts.buffer, 0, 2 * this.#starts.length);
    this.#next = Uint32Array.from({ length: this.#starts.length + 1 }, (_, i) => i);
  }

  /** A set of all these. */
  static of(intervals: readonly KeyInterval[]): IntervalSet {
    const set = new IntervalSet(intervals);
    for (const interval of intervals) set.add(interval);
    return set;
  }

  /** Adds one of the intervals that were given at first. */
  add({ lowest, highest }: KeyInterval): void {
    const starts = this.#starts;
    const end = highest === MAX_U64 ? starts.length : stretchOf(starts, highest + 1n);
    for (let i = this.#unmarked(stretchOf(starts, lowest)); i < end; i = this.#unmarked(i + 1)) {
      this.#next[i] = i + 1;
      this.isEmpty = false;
    }
  }

  /** The first stretch from this one on that is not marked. */
  #unmarked(from: number): number {
    const next = this.#next;
    let last = from;
    while (next[last]! !== last) last = next[last]!;
    for (let at = from; at !== last;) {
      const following = next[at]!;
      next[at] = last;
      at = following;
    }
    return last;
  }

  has(keyLow: number, keyHigh: number): boolean {
    const halves = this.#startHalves;
    let from = 0;
    let to = this.#starts.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const high = halves[2 * middle + 1]!;
      const isAbove = high > keyHigh || (high === keyHigh && halves[2 * middle]! > keyLow);
      if (isAbove) to = middle;
      else from = middle + 1;
    }
    return from > 0 && this.#next[from - 1] !== from - 1;
  }

  /** The keys as ascending intervals, no two of which touch. */
  intervals(): KeyInterval[] {
    const starts = this.#starts;
    const found: KeyInterval[] = [];
    for (let i = 0; i < starts.length;) {
      if (this.#next[i] === i) {
        i++;
        continue;
      }
      const end = this.#unmarked(i);
      const highest = end < starts.length ? starts[end]! - 1n : MAX_U64;
      found.push({ lowest: starts[i]!, highest });
      i = end;
    }
    return found;
  }
}

function distinct(ascending: BigUint64Array): BigUint64Array {
  let count = 0;
  for (const bound of ascending) {
    if (count === 0 || bound !== ascending[count - 1]) ascending[count++] = bound;
  }
  return ascending.slice(0, count);
}

/** The stretch that begins at this key. */
function stretchOf(starts: BigUint64Array, key: bigint): number {
  let from = 0;
  let to = starts.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (starts[middle]! < key) from = middle + 1;
    else to = middle;
  }
  return from;
}
