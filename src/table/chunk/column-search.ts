/**
 * Number of linear search steps from the guessed index. Evenly spread keys are found within them.
 * Others are found by binary search.
 */
const NEAR_STEPS = 32;

/**
 * Locations in `words` of the ascending keys of `count` records, minus the first key, `stride`
 * words apart.
 */
export interface KeyPlaces {
  readonly words: Uint32Array;
  readonly count: number;
  readonly stride: number;
  readonly lowAt: number;
  /** Negative if all high halves are 0. */
  readonly highAt: number;
}

/**
 * Index of the first of `count` ascending offsets, which begin at `words[at]`, that is not below
 * `sought`; `count` if there is none. Fast if the index is near `guess`, and O(log n) in any case.
 */
export function settleNarrow(
  words: Uint32Array,
  at: number,
  stride: number,
  count: number,
  guess: number,
  sought: number,
): number {
  let index = guess;
  const guessed = words[at + index * stride]!;
  if (guessed === sought) return index;
  if (guessed < sought) {
    const near = Math.min(index + NEAR_STEPS, count);
    do index++;
    while (index < near && words[at + index * stride]! < sought);
    if (index < near || near === count) return index;
    return halveNarrow(words, at, stride, index - 1, count, sought);
  }
  const near = Math.max(index - NEAR_STEPS, 0);
  while (index > near && words[at + (index - 1) * stride]! >= sought) index--;
  if (index > near || near === 0) return index;
  return halveNarrow(words, at, stride, -1, index, sought);
}

/** Like {@link settleNarrow}, for offsets in two halves. */
export function settleWide(
  words: Uint32Array,
  lowAt: number,
  highAt: number,
  stride: number,
  count: number,
  guess: number,
  low: number,
  high: number,
): number {
  const lowFrom = lowAt - highAt;
  const end = highAt + count * stride;
  let place = highAt + guess * stride;
  if (isBelow(words, place, lowFrom, low, high)) {
    const near = Math.min(place + NEAR_STEPS * stride, end);
    do place += stride;
    while (place < near && isBelow(words, place, lowFrom, low, high));
    const index = (place - highAt) / stride;
    if (place < near || near === end) return index;
    return halveWide(words, lowAt, highAt, stride, index - 1, count, low, high);
  }
  const near = Math.max(place - NEAR_STEPS * stride, highAt);
  while (place > near && !isBelow(words, place - stride, lowFrom, low, high)) place -= stride;
  const index = (place - highAt) / stride;
  if (place > near || near === highAt) return index;
  return halveWide(words, lowAt, highAt, stride, -1, index, low, high);
}

/**
 * Binary search. The offset at `below` is below `sought`, that at `above` is not. -1 and `count`
 * are the outer bounds.
 */
function halveNarrow(
  words: Uint32Array,
  at: number,
  stride: number,
  below: number,
  above: number,
  sought: number,
): number {
  while (above - below > 1) {
    const middle = (below + above) >> 1;
    if (words[at + middle * stride]! < sought) below = middle;
    else above = middle;
  }
  return above;
}

function halveWide(
  words: Uint32Array,
  lowAt: number,
  highAt: number,
  stride: number,
  below: number,
  above: number,
  low: number,
  high: number,
): number {
  while (above - below > 1) {
    const middle = (below + above) >> 1;
    if (isBelow(words, highAt + middle * stride, lowAt - highAt, low, high)) below = middle;
    else above = middle;
  }
  return above;
}

/** `lowFrom`: distance from the high half to the low half, in words. */
function isBelow(
  words: Uint32Array,
  place: number,
  lowFrom: number,
  low: number,
  high: number,
): boolean {
  const placeHigh = words[place]!;
  return placeHigh < high || (placeHigh === high && words[place + lowFrom]! < low);
}
