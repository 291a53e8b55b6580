/**
 * Steps, one by one, from where a key is guessed to be. Evenly spread keys are a few steps away;
 * keys further off are found by halving.
 */
const NEAR_STEPS = 32;

/**
 * Where in `words` the keys of `count` records stand, less the first key: ascending, `stride` words
 * apart.
 */
export interface KeyPlaces {
  readonly words: Uint32Array;
  readonly count: number;
  readonly stride: number;
  readonly lowAt: number;
  /** Negative where all high halves are 0. */
  readonly highAt: number;
}

/**
 * Index of the first of `count` ascending offsets, the first of them at `words[at]`, that is not
 * below `sought`; `count` if there is none. It is near `guess`; wherever it is, finding it costs
 * O(log n).
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

/** As {@link settleNarrow}, for offsets in two halves. */
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
 * The offset at `below` is below what is sought, that at `above` is not; -1 and `count` stand for
 * none.
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

/** `lowFrom` is how far behind the high half the low one stands. */
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
