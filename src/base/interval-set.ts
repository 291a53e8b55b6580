import { MAX_U64 } from './limits.ts';
import { finishSteps, type Steps } from './steps.ts';

/** Keys from `lowest` to `highest`, both included. */
export interface KeyInterval {
  readonly lowest: bigint;
  readonly highest: bigint;
}

/** Bounds that are sorted, and stretches that are marked, between two yields. */
const STEP_BOUNDS = 4_096;
/** Intervals that are looked at between two yields: each takes about a microsecond. */
export const STEP_INTERVALS = 256;

/**
 * Intervals as words: the lowest key of each, then its highest. Worker threads share them, or copy
 * them at once, however many there are. Objects are cloned one by one.
 */
export type IntervalWords = BigUint64Array;

export const NO_INTERVALS: IntervalWords = new BigUint64Array(0);

/** The interval at `index`, which must exist. */
export function intervalOf(words: IntervalWords, index: number): KeyInterval {
  return { lowest: words[2 * index]!, highest: words[2 * index + 1]! };
}

/** Collects intervals as words. */
export class IntervalList {
  #words: IntervalWords = NO_INTERVALS;
  length = 0;

  add({ lowest, highest }: KeyInterval): void {
    const at = 2 * this.length++;
    if (at === this.#words.length) {
      const longer = new BigUint64Array(Math.max(16, 2 * at));
      longer.set(this.#words);
      this.#words = longer;
    }
    this.#words[at] = lowest;
    this.#words[at + 1] = highest;
  }

  get words(): IntervalWords {
    return this.#words.subarray(0, 2 * this.length);
  }

  /** A copy that threads share. */
  sharedWords(): IntervalWords {
    if (this.length === 0) return NO_INTERVALS;
    const { words } = this;
    const copy = new BigUint64Array(new SharedArrayBuffer(words.byteLength));
    copy.set(words);
    return copy;
  }
}

/** Collects the bounds of intervals, which divide the keys into stretches. */
export class IntervalBounds {
  readonly #bounds: BigUint64Array;
  #count = 0;

  constructor(intervalCount: number) {
    this.#bounds = new BigUint64Array(2 * intervalCount);
  }

  add({ lowest, highest }: KeyInterval): void {
    this.#bounds[this.#count++] = lowest;
    if (highest < MAX_U64) this.#bounds[this.#count++] = highest + 1n;
  }

  /** First keys of the stretches, ascending. Changes the bounds. */
  *starts(): Steps<BigUint64Array> {
    return yield* distinct(yield* sorted(this.#bounds.subarray(0, this.#count)));
  }
}

/**
 * The keys of the intervals that were added. The bounds of all intervals that may be added are
 * given at first. They divide the keys into stretches, and `add` marks the stretches of an
 * interval. Each marked stretch links to the next one that may not be marked (union-find), so
 * marked ones are passed over: adding all intervals takes about as long as sorting them, however
 * they overlap. A lookup is a binary search.
 */
export class IntervalSet {
  /** First keys of the stretches, ascending. The last stretch ends at the highest key. */
  readonly #starts: BigUint64Array;
  readonly #startHalves: Uint32Array;
  /** Number of stretches that a link passes over. 0: the stretch is not marked. */
  readonly #links: Uint32Array;
  isEmpty = true;

  /** `starts`: see {@link IntervalBounds}. */
  constructor(starts: BigUint64Array) {
    this.#starts = starts;
    this.#startHalves = halvesOf(starts);
    // The last link is of no stretch.
    this.#links = new Uint32Array(starts.length + 1);
  }

  /** An empty set, to which these may be added. */
  static for(intervals: readonly KeyInterval[]): IntervalSet {
    const bounds = new IntervalBounds(intervals.length);
    for (const interval of intervals) bounds.add(interval);
    return new IntervalSet(finishSteps(bounds.starts()));
  }

  /** As {@link IntervalSet.for}, of several lists, in steps. */
  static *forLists(lists: readonly IntervalWords[]): Steps<IntervalSet> {
    const bounds = new IntervalBounds(lists.reduce((sum, { length }) => sum + length / 2, 0));
    for (const words of lists) {
      for (let i = 0; i < words.length / 2; i++) {
        bounds.add(intervalOf(words, i));
        if (i % STEP_INTERVALS === 0) yield;
      }
    }
    return new IntervalSet(yield* bounds.starts());
  }

  /** Adds one of the intervals that were given at first. */
  add(interval: KeyInterval): void {
    finishSteps(this.addInSteps(interval));
  }

  /** As {@link add}. Usually one step. */
  *addInSteps({ lowest, highest }: KeyInterval): Steps<void> {
    const starts = this.#starts;
    const end = highest === MAX_U64 ? starts.length : stretchOf(starts, highest + 1n);
    let untilYield = STEP_BOUNDS;
    for (let i = this.#unmarked(stretchOf(starts, lowest)); i < end; i = this.#unmarked(i + 1)) {
      this.#links[i] = 1;
      this.isEmpty = false;
      if (--untilYield > 0) continue;
      untilYield = STEP_BOUNDS;
      yield;
    }
  }

  /** As {@link addInSteps}, of all intervals of a list. */
  *addList(words: IntervalWords): Steps<void> {
    for (let i = 0; i < words.length / 2; i++) {
      yield* this.addInSteps(intervalOf(words, i));
      if (i % STEP_INTERVALS === 0) yield;
    }
  }

  /** The first stretch from this one on that is not marked. */
  #unmarked(from: number): number {
    const links = this.#links;
    let last = from;
    while (links[last]! !== 0) last += links[last]!;
    for (let at = from; at !== last;) {
      const following = at + links[at]!;
      links[at] = last - at;
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
    return from > 0 && this.#links[from - 1] !== 0;
  }

  /** The keys as ascending intervals, no two of which touch. */
  intervals(): KeyInterval[] {
    return [...this.each()];
  }

  /** As {@link intervals}, as words that threads share. */
  *sharedWords(): Steps<IntervalWords> {
    const list = new IntervalList();
    for (const interval of this.each()) {
      list.add(interval);
      if (list.length % STEP_INTERVALS === 0) yield;
    }
    return list.sharedWords();
  }

  /** As {@link intervals}, one at a time. */
  *each(): Generator<KeyInterval, void, undefined> {
    const starts = this.#starts;
    for (let i = 0; i < starts.length;) {
      if (this.#links[i] === 0) {
        i++;
        continue;
      }
      const end = this.#unmarked(i);
      const highest = end < starts.length ? starts[end]! - 1n : MAX_U64;
      yield { lowest: starts[i]!, highest };
      i = end;
    }
  }
}

/** All keys of these lists as ascending intervals, no two of which touch. */
export function* unionOf(lists: readonly IntervalWords[]): Steps<IntervalWords> {
  const set = yield* IntervalSet.forLists(lists);
  for (const words of lists) yield* set.addList(words);
  return yield* set.sharedWords();
}

function halvesOf(words: BigUint64Array): Uint32Array {
  return new Uint32Array(words.buffer, words.byteOffset, 2 * words.length);
}

/** Sorts ascending, and returns one of two arrays: a merge sort of pieces that are sorted whole. */
function* sorted(words: BigUint64Array): Steps<BigUint64Array> {
  const { length } = words;
  for (let from = 0; from < length; from += STEP_BOUNDS) {
    words.subarray(from, from + STEP_BOUNDS).sort();
    yield;
  }
  if (length <= STEP_BOUNDS) return words;
  let source: BigUint64Array = words;
  let target: BigUint64Array = new BigUint64Array(length);
  for (let run = STEP_BOUNDS; run < length; run *= 2) {
    for (let from = 0; from < length; from += 2 * run) {
      const middle = Math.min(from + run, length);
      yield* mergeRuns(source, target, from, middle, Math.min(middle + run, length));
    }
    [source, target] = [target, source];
  }
  return source;
}

/** Merges two adjacent runs. */
function* mergeRuns(
  source: BigUint64Array,
  target: BigUint64Array,
  from: number,
  middle: number,
  end: number,
): Steps<void> {
  const halves = halvesOf(source);
  const merged = halvesOf(target);
  let left = from;
  let right = middle;
  for (let to = from; to < end; to++) {
    if (to % STEP_BOUNDS === 0) yield;
    const takesLeft = right === end || (left < middle && !isBelow(halves, right, left));
    const taken = takesLeft ? left++ : right++;
    merged[2 * to] = halves[2 * taken]!;
    merged[2 * to + 1] = halves[2 * taken + 1]!;
  }
}

function isBelow(halves: Uint32Array, a: number, b: number): boolean {
  const highA = halves[2 * a + 1]!;
  const highB = halves[2 * b + 1]!;
  return highA === highB ? halves[2 * a]! < halves[2 * b]! : highA < highB;
}

/** Moves the distinct ones to the front. */
function* distinct(ascending: BigUint64Array): Steps<BigUint64Array> {
  const halves = halvesOf(ascending);
  let count = 0;
  for (let i = 0; i < ascending.length; i++) {
    if (i % STEP_BOUNDS === 0) yield;
    if (count > 0 && !isBelow(halves, count - 1, i)) continue;
    halves[2 * count] = halves[2 * i]!;
    halves[2 * count + 1] = halves[2 * i + 1]!;
    count++;
  }
  return ascending.subarray(0, count);
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
