/**
 * Steps, one by one, from where a key is guessed to be. Evenly spread keys are a few steps away; keys
 * further off are found by halving.
 */
const NEAR_STEPS = 32;

/**
 * Index of the first of `count` ascending offsets, those from `words[at]` on, that is not below `sought`; `count` if
 * there is none. It is near `guess`; wherever it is, finding it costs O(log n).
 */
export function settleNarrow(
  words: Uint32Array,
  at: number,
  count: number,
  guess: number,
  sought: number,
): number {
  let place = at + guess;
  if (words[place]! < sought) {
    const end = at + count;
    const near = Math.min(place + NEAR_STEPS, end);
    do place++;
    while (place < near && words[place]! < sought);
    if (place === near && place < end) return halveNarrow(words, at, place - 1, end, sought);
    return place - at;
  }
  const near = Math.max(place - NEAR_STEPS, at);
  while (place > near && words[place - 1]! >= sought) place--;
  if (place === near && place > at) return halveNarrow(words, at, at - 1, place, sought);
  return place - at;
}

/** As {@link settleNarrow}, for offsets in two halves. */
export function settleWide(
  words: Uint32Array,
  lowAt: number,
  highAt: number,
  count: number,
  guess: number,
  low: number,
  high: number,
): number {
  let index = guess;
  if (isBelow(words, lowAt + index, highAt + index, low, high)) {
    const near = Math.min(index + NEAR_STEPS, count);
    do index++;
    while (index < near && isBelow(words, lowAt + index, highAt + index, low, high));
    if (index < near || near === count) return index;
    return halveWide(words, lowAt, highAt, index - 1, count, low, high);
  }
  const near = Math.max(index - NEAR_STEPS, 0);
  while (index > near && !isBelow(words, lowAt + index - 1, highAt + index - 1, low, high)) index--;
  if (index > near || near === 0) return index;
  return halveWide(words, lowAt, highAt, -1, index, low, high);
}

/** words[below] < sought <= words[above], where they are offsets. */
function halveNarrow(
  words: Uint32Array,
  at: number,
  below: number,
  above: number,
  sought: number,
): number {
  while (above - below > 1) {
    const middle = (below + above) >>> 1;
    if (words[middle]! < sought) below = middle;
    else above = middle;
  }
  return above - at;
}

function halveWide(
  words: Uint32Array,
  lowAt: number,
  highAt: number,
  below: number,
  above: number,
  low: number,
  high: number,
): number {
  while (above - below > 1) {
    const middle = (below + above) >>> 1;
    if (isBelow(words, lowAt + middle, highAt + middle, low, high)) below = middle;
    else above = middle;
  }
  return above;
}

function isBelow(
  words: Uint32Array,
  lowPlace: number,
  highPlace: number,
  low: number,
  high: number,
): boolean {
  const placeHigh = words[highPlace]!;
  return placeHigh < high || (placeHigh === high && words[lowPlace]! < low);
}
