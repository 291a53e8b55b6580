import type { Steps } from '../base/steps.ts';

/**
 * Words of an entry: the low and the high half of the key, the row's block, its offset in the
 * block.
 */
export const RUN_ENTRY_WORDS = 4;

/** Words of the entries that one step counts or moves. */
const STEP_WORDS: number = 2 ** 14 * RUN_ENTRY_WORDS;

const DIGIT_BITS = 8;
const BUCKETS: number = 1 << DIGIT_BITS;
const DIGITS_PER_WORD: number = 32 / DIGIT_BITS;

/**
 * Counts how often each value of each digit occurs in the keys: first the digits of the low half,
 * then those of the high half.
 */
function* countDigits(entries: Uint32Array, end: number): Steps<Uint32Array> {
  const counts = new Uint32Array(2 * DIGITS_PER_WORD * BUCKETS);
  for (let from = 0; from < end; from += STEP_WORDS) {
    countRange(entries, from, Math.min(from + STEP_WORDS, end), counts);
    yield;
  }
  return counts;
}

function countRange(entries: Uint32Array, from: number, end: number, counts: Uint32Array): void {
  for (let at = from; at < end; at += RUN_ENTRY_WORDS) {
    let low = entries[at]!;
    let high = entries[at + 1]!;
    for (let base = 0; base < DIGITS_PER_WORD * BUCKETS; base += BUCKETS) {
      counts[base + (low & (BUCKETS - 1))]!++;
      counts[DIGITS_PER_WORD * BUCKETS + base + (high & (BUCKETS - 1))]!++;
      low >>>= DIGIT_BITS;
      high >>>= DIGIT_BITS;
    }
  }
}

/** Moves entries to their places by one digit. `starts` has the next place for each digit value. */
function distribute(
  from: Uint32Array,
  to: Uint32Array,
  start: number,
  end: number,
  word: number,
  shift: number,
  starts: Uint32Array,
): void {
  for (let at = start; at < end; at += RUN_ENTRY_WORDS) {
    const value = (from[at + word]! >>> shift) & (BUCKETS - 1);
    const target = starts[value]!;
    starts[value] = target + RUN_ENTRY_WORDS;
    to[target] = from[at]!;
    to[target + 1] = from[at + 1]!;
    to[target + 2] = from[at + 2]!;
    to[target + 3] = from[at + 3]!;
  }
}

/** Replaces counts by start positions. */
function toStarts(counts: Uint32Array): void {
  let start = 0;
  for (let value = 0; value < BUCKETS; value++) {
    const count = counts[value]!;
    counts[value] = start;
    start += RUN_ENTRY_WORDS * count;
  }
}

/**
 * Digits in which keys differ, most significant first. A digit that all keys share needs no pass.
 */
function differingDigits(counts: Uint32Array, count: number): number[] {
  const digits: number[] = [];
  for (let digit = 2 * DIGITS_PER_WORD - 1; digit >= 0; digit--) {
    const isShared = counts.subarray(digit * BUCKETS, (digit + 1) * BUCKETS).includes(count);
    if (!isShared) digits.push(digit);
  }
  return digits;
}

/**
 * Number of the most significant digits after which few entries are out of order, if the digits are
 * independent: a key is then expected to share all of them with at most one other key.
 */
function separatingDigits(counts: Uint32Array, count: number, digits: readonly number[]): number {
  let expectedEqual = count;
  for (let i = 0; i < digits.length; i++) {
    if (expectedEqual <= 1) return i;
    let squares = 0;
    for (let value = 0; value < BUCKETS; value++)
      squares += counts[digits[i]! * BUCKETS + value]! ** 2;
    expectedEqual *= squares / count ** 2;
  }
  return digits.length;
}

/**
 * Sorts entries by `digits`, least significant first (LSD radix sort). Overwrites both arrays and
 * the counts. Returns the array that has the result.
 */
function* arrange(
  entries: Uint32Array,
  spare: Uint32Array,
  end: number,
  counts: Uint32Array,
  digits: readonly number[],
): Steps<Uint32Array> {
  let [from, to] = [entries, spare];
  for (const digit of digits.toReversed()) {
    const starts = counts.subarray(digit * BUCKETS, (digit + 1) * BUCKETS);
    toStarts(starts);
    const shift = (digit % DIGITS_PER_WORD) * DIGIT_BITS;
    const word = digit < DIGITS_PER_WORD ? 0 : 1;
    for (let at = 0; at < end; at += STEP_WORDS) {
      distribute(from, to, at, Math.min(at + STEP_WORDS, end), word, shift, starts);
      yield;
    }
    [from, to] = [to, from];
  }
  return from;
}

/**
 * Insertion sort of nearly sorted entries. Returns false if it needs too many moves: the entries
 * are then all there, but not sorted.
 */
function* settle(entries: Uint32Array, end: number): Steps<boolean> {
  let movesLeft = end / RUN_ENTRY_WORDS;
  for (let from = RUN_ENTRY_WORDS; from < end; from += STEP_WORDS) {
    movesLeft = settleRange(entries, from, Math.min(from + STEP_WORDS, end), movesLeft);
    if (movesLeft < 0) return false;
    yield;
  }
  return true;
}

/** Returns the number of moves left, negative if it gave up. */
function settleRange(entries: Uint32Array, from: number, end: number, mostMoves: number): number {
  let movesLeft = mostMoves;
  for (let at = from; at < end; at += RUN_ENTRY_WORDS) {
    const low = entries[at]!;
    const high = entries[at + 1]!;
    let to = at;
    while (to > 0) {
      const before = entries[to - RUN_ENTRY_WORDS + 1]!;
      if (before < high || (before === high && entries[to - RUN_ENTRY_WORDS]! <= low)) break;
      to -= RUN_ENTRY_WORDS;
    }
    if (to === at) continue;
    movesLeft -= (at - to) / RUN_ENTRY_WORDS;
    const block = entries[at + 2]!;
    const offset = entries[at + 3]!;
    entries.copyWithin(to + RUN_ENTRY_WORDS, to, at);
    entries[to] = low;
    entries[to + 1] = high;
    entries[to + 2] = block;
    entries[to + 3] = offset;
    if (movesLeft < 0) return movesLeft;
  }
  return movesLeft;
}

/**
 * Returns the first `count` entries in ascending key order; the sort is stable. Whole entries are
 * moved, so that a reader of the result accesses them sequentially. For random keys, three digits
 * separate nearly all, and an insertion sort corrects the rest. `entries` is overwritten.
 */
export function* sortEntries(entries: Uint32Array, count: number): Steps<Uint32Array> {
  if (count < 2) return entries;
  const end = RUN_ENTRY_WORDS * count;
  const spare = new Uint32Array(end);
  const counts = yield* countDigits(entries, end);
  const digits = differingDigits(counts, count);
  const separating = separatingDigits(counts, count, digits);
  const sorted = yield* arrange(entries, spare, end, counts, digits.slice(0, separating));
  if (separating === digits.length || (yield* settle(sorted, end))) return sorted;
  // The keys are clustered. The order of equal keys is intact, so a radix sort over all digits is
  // still stable.
  const other = sorted === entries ? spare : entries;
  const allCounts = yield* countDigits(sorted, end);
  return yield* arrange(sorted, other, end, allCounts, digits);
}
