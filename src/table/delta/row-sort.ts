import { assert } from '../../base/assert.ts';
import { uncountedWords } from '../../base/uncounted-memory.ts';
import type { UnsortedRows } from './unsorted-rows.ts';

/** Two passes of 11 bits each distinguish nearly all keys of a run, if keys are evenly spread. */
const DIGIT_BITS = 11;
const PREFIX_BITS: number = 2 * DIGIT_BITS;
const PREFIX_DIGIT_VALUES: number = 2 ** DIGIT_BITS;
const LOW_DIGIT: number = PREFIX_DIGIT_VALUES - 1;

/** Between the passes, a digit and an index share one word. */
const INDEX_BITS = 16;
const INDEX_MASK: number = 2 ** INDEX_BITS - 1;
export const MOST_SORTED_ROWS: number = 2 ** INDEX_BITS;

const DIGITS_PER_HALF = 4;
const DIGIT_VALUES = 256;

/** Scratch memory, reused for all sorts. */
export class SortScratch {
  prefixes: Uint32Array = new Uint32Array(0);
  order: Uint32Array = new Uint32Array(0);
  spare: Uint32Array = new Uint32Array(0);

  get memoryBytes(): number {
    return 3 * 4 * this.prefixes.length;
  }

  makeRoom(count: number): void {
    if (this.prefixes.length >= count) return;
    this.prefixes = new Uint32Array(count);
    this.order = new Uint32Array(count);
    this.spare = new Uint32Array(count);
  }
}

/**
 * Returns the positions of rows in key order; the sort is stable. A step takes linear time, a few
 * nanoseconds per row. There are at most {@link MOST_SORT_STEPS} steps.
 */
export function* sortSteps(
  rows: UnsortedRows,
  scratch: SortScratch,
): Generator<void, Uint32Array, undefined> {
  const { count, positions } = rows;
  assert(count <= MOST_SORTED_ROWS, 'an index fits its bits');
  scratch.makeRoom(count);
  const [lowStarts, highStarts] = takePrefixes(rows, scratch);
  yield;
  sortByPrefixes(count, scratch, lowStarts, highStarts);
  yield;
  const sorted = uncountedWords(count);
  if (settle(rows, scratch, sorted)) return sorted;
  yield;
  yield* sortByAllDigits(rows, scratch);
  gather(positions, scratch.order, sorted);
  return sorted;
}

function gather(positions: Uint32Array, order: Uint32Array, sorted: Uint32Array): void {
  for (let i = 0; i < sorted.length; i++) sorted[i] = positions[order[i]!]!;
}

/**
 * Number of steps of {@link sortSteps} for clustered keys, which are sorted by all their digits.
 */
export const MOST_SORT_STEPS: number = 4 + 2 * DIGITS_PER_HALF;

/**
 * Computes prefixes: the highest bits in which keys differ. Keys with different prefixes have the
 * order of their prefixes. Returns the start positions for each value of the two digits of a
 * prefix.
 */
function takePrefixes(
  { low, high, count }: UnsortedRows,
  { prefixes }: SortScratch,
): [Uint32Array, Uint32Array] {
  const [firstLow, firstHigh] = [low[0]!, high[0]!];
  let [lowDifference, highDifference] = [0, 0];
  for (let i = 1; i < count; i++) {
    lowDifference |= low[i]! ^ firstLow;
    highDifference |= high[i]! ^ firstHigh;
  }
  const lowBits = 32 - Math.clz32(lowDifference);
  const highBits = 32 - Math.clz32(highDifference);
  const lowMask = maskOf(lowBits);
  const highMask = maskOf(highBits);
  const highShift = Math.max(0, highBits - PREFIX_BITS);
  const lowTaken = Math.min(lowBits, Math.max(0, PREFIX_BITS - highBits));
  // A shift by 32 is a no-op.
  const lowShift = lowTaken === 0 ? 31 : lowBits - lowTaken;
  const lowKept = lowTaken === 0 ? 0 : lowMask;
  const lowCounts = new Uint32Array(PREFIX_DIGIT_VALUES);
  const highCounts = new Uint32Array(PREFIX_DIGIT_VALUES);
  for (let i = 0; i < count; i++) {
    const upper = ((high[i]! & highMask) >>> highShift) << lowTaken;
    const prefix = upper | ((low[i]! & lowKept) >>> lowShift);
    prefixes[i] = prefix;
    lowCounts[prefix & LOW_DIGIT]!++;
    highCounts[prefix >>> DIGIT_BITS]!++;
  }
  toStarts(lowCounts);
  toStarts(highCounts);
  return [lowCounts, highCounts];
}

/** The lowest `bits` bits, as int32. */
function maskOf(bits: number): number {
  return bits === 0 ? 0 : -1 >>> (32 - bits);
}

function toStarts(counts: Uint32Array): void {
  let start = 0;
  for (let value = 0; value < counts.length; value++) {
    const occurrences = counts[value]!;
    counts[value] = start;
    start += occurrences;
  }
}

function sortByPrefixes(
  count: number,
  { prefixes, order, spare }: SortScratch,
  lowStarts: Uint32Array,
  highStarts: Uint32Array,
): void {
  for (let i = 0; i < count; i++) {
    const prefix = prefixes[i]!;
    spare[lowStarts[prefix & LOW_DIGIT]!++] = ((prefix >>> DIGIT_BITS) << INDEX_BITS) | i;
  }
  for (let i = 0; i < count; i++) {
    const entry = spare[i]!;
    order[highStarts[entry >>> INDEX_BITS]!++] = entry & INDEX_MASK;
  }
}

/**
 * Insertion sort of rows with equal prefixes; also gathers the positions. Returns false if it needs
 * too many moves.
 */
function settle(
  { low, high, positions, count }: UnsortedRows,
  { prefixes, order }: SortScratch,
  sorted: Uint32Array,
): boolean {
  let movesLeft = count;
  let prefixBefore = -1;
  for (let i = 0; i < count; i++) {
    const index = order[i]!;
    const prefix = prefixes[index]!;
    sorted[i] = positions[index]!;
    if (prefix !== prefixBefore) {
      prefixBefore = prefix;
      continue;
    }
    const keyLow = low[index]!;
    const keyHigh = high[index]!;
    let to = i;
    for (; to > 0; to--) {
      const before = order[to - 1]!;
      if (high[before]! < keyHigh || (keyHigh === high[before]! && low[before]! <= keyLow)) break;
      order[to] = before;
      sorted[to] = positions[before]!;
    }
    order[to] = index;
    sorted[to] = positions[index]!;
    movesLeft -= i - to;
    if (movesLeft < 0) return false;
  }
  return true;
}

/**
 * Sorts from the least significant digit to the most significant. A digit that all keys share is
 * skipped.
 */
function* sortByAllDigits(
  { low, high, count }: UnsortedRows,
  scratch: SortScratch,
): Generator<void, void, undefined> {
  for (let i = 0; i < count; i++) scratch.order[i] = i;
  for (const half of [low, high]) {
    for (let digit = 0; digit < DIGITS_PER_HALF; digit++) {
      if (!sortByDigit(half, digit * 8, count, scratch)) continue;
      [scratch.order, scratch.spare] = [scratch.spare, scratch.order];
      yield;
    }
  }
}

/** Sorts `order` by one byte of `keys` into `spare`. Returns false if all keys share that byte. */
function sortByDigit(
  keys: Uint32Array,
  shift: number,
  count: number,
  { order, spare }: SortScratch,
): boolean {
  const starts = new Uint32Array(DIGIT_VALUES);
  for (let i = 0; i < count; i++) starts[(keys[i]! >>> shift) & 255]!++;
  if (starts[(keys[0]! >>> shift) & 255] === count) return false;
  toStarts(starts);
  for (let i = 0; i < count; i++) {
    const index = order[i]!;
    spare[starts[(keys[index]! >>> shift) & 255]!++] = index;
  }
  return true;
}
