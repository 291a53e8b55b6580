/** Words of an entry: the key's low and high half, the row's block and its offset there. */
export const ENTRY_WORDS = 4;

const DIGIT_BITS = 8;
const BUCKETS: number = 1 << DIGIT_BITS;
const DIGITS_PER_WORD: number = 32 / DIGIT_BITS;

/** How often each value of each digit of the keys occurs: the digits of the low half, then of the high one. */
function countDigits(entries: Uint32Array, end: number): Uint32Array {
  const counts = new Uint32Array(2 * DIGITS_PER_WORD * BUCKETS);
  for (let at = 0; at < end; at += ENTRY_WORDS) {
    let low = entries[at]!;
    let high = entries[at + 1]!;
    for (let base = 0; base < DIGITS_PER_WORD * BUCKETS; base += BUCKETS) {
      counts[base + (low & (BUCKETS - 1))]!++;
      counts[DIGITS_PER_WORD * BUCKETS + base + (high & (BUCKETS - 1))]!++;
      low >>>= DIGIT_BITS;
      high >>>= DIGIT_BITS;
    }
  }
  return counts;
}

/** Moves all entries by one digit, in the order of its values; `starts` says where each value begins. */
function distribute(
  from: Uint32Array,
  to: Uint32Array,
  end: number,
  word: number,
  shift: number,
  starts: Uint32Array,
): void {
  for (let at = 0; at < end; at += ENTRY_WORDS) {
    const value = (from[at + word]! >>> shift) & (BUCKETS - 1);
    const target = starts[value]!;
    starts[value] = target + ENTRY_WORDS;
    to[target] = from[at]!;
    to[target + 1] = from[at + 1]!;
    to[target + 2] = from[at + 2]!;
    to[target + 3] = from[at + 3]!;
  }
}

/** Where each value's entries begin, from how many there are. */
function toStarts(counts: Uint32Array): void {
  let start = 0;
  for (let value = 0; value < BUCKETS; value++) {
    const count = counts[value]!;
    counts[value] = start;
    start += ENTRY_WORDS * count;
  }
}

/**
 * The first `count` entries in ascending key order; equal keys keep their order. Whole entries are moved, digit by
 * digit: who reads them in order then reads them one behind the other. `entries` is used up.
 */
export function sortEntries(entries: Uint32Array, count: number): Uint32Array {
  if (count < 2) return entries;
  const end = ENTRY_WORDS * count;
  const counts = countDigits(entries, end);
  let from = entries;
  let to: Uint32Array = new Uint32Array(end);
  for (let digit = 0; digit < 2 * DIGITS_PER_WORD; digit++) {
    const word = digit < DIGITS_PER_WORD ? 0 : 1;
    const shift = (digit % DIGITS_PER_WORD) * DIGIT_BITS;
    const starts = counts.subarray(digit * BUCKETS, (digit + 1) * BUCKETS);
    // A digit that all keys share, as ids near each other do, moves none.
    if (starts[(from[word]! >>> shift) & (BUCKETS - 1)] === count) continue;
    toStarts(starts);
    distribute(from, to, end, word, shift, starts);
    [from, to] = [to, from];
  }
  return from;
}
