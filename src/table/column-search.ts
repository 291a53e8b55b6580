/**
 * Steps, one by one, from where a key is guessed to be. Evenly spread keys are a few steps away; keys
 * further off are found by halving.
 */
const NEAR_STEPS = 32;

/**
 * Index of the first of `count` ascending offsets that is not below `sought`, which lies above the first
 * and not above the last. `density` is the number of offsets per unit, on average. Two guesses and a few
 * steps touch a cache line or two where halving touches ten; at worst it costs O(log n).
 */
export function lowerBoundNarrow(
  offsets: Uint32Array,
  count: number,
  sought: number,
  density: number,
): number {
  const last = count - 1;
  let index = clamp((sought * density) | 0, last);
  const guessed = offsets[index]!;
  // Keys without gaps are where they must be.
  if (guessed === sought) return index;
  index = clamp((index + (sought - guessed) * density) | 0, last);
  if (offsets[index]! < sought) {
    const near = Math.min(index + NEAR_STEPS, last);
    while (index < near && offsets[index]! < sought) index++;
    return offsets[index]! < sought ? halveNarrow(offsets, index, last, sought) : index;
  }
  const near = Math.max(index - NEAR_STEPS, 1);
  while (index > near && offsets[index - 1]! >= sought) index--;
  return offsets[index - 1]! < sought ? index : halveNarrow(offsets, 0, index, sought);
}

/** As {@link lowerBoundNarrow}, for offsets in two halves. Guesses by the high ones. */
export function lowerBoundWide(
  lows: Uint32Array,
  highs: Uint32Array,
  count: number,
  low: number,
  high: number,
  density: number,
): number {
  const last = count - 1;
  const scale = density * 0x1_0000_0000;
  let index = clamp((high * scale) | 0, last);
  index = clamp((index + (high - highs[index]!) * scale) | 0, last);
  if (highs[index]! < high) {
    const near = Math.min(index + NEAR_STEPS, last);
    while (index < near && highs[index]! < high) index++;
  } else {
    const near = Math.max(index - NEAR_STEPS, 1);
    while (index > near && highs[index - 1]! >= high) index--;
    if (index > 0 && highs[index - 1]! >= high) return halveWide(lows, highs, 0, last, low, high);
  }
  const near = Math.min(index + NEAR_STEPS, last);
  while (index < near && highs[index] === high && lows[index]! < low) index++;
  return isBelow(lows, highs, index, low, high)
    ? halveWide(lows, highs, index, last, low, high)
    : index;
}

/** offsets[below] < sought <= offsets[above] */
function halveNarrow(offsets: Uint32Array, below: number, above: number, sought: number): number {
  while (above - below > 1) {
    const middle = (below + above) >>> 1;
    if (offsets[middle]! < sought) below = middle;
    else above = middle;
  }
  return above;
}

function halveWide(
  lows: Uint32Array,
  highs: Uint32Array,
  below: number,
  above: number,
  low: number,
  high: number,
): number {
  while (above - below > 1) {
    const middle = (below + above) >>> 1;
    if (isBelow(lows, highs, middle, low, high)) below = middle;
    else above = middle;
  }
  return above;
}

function isBelow(
  lows: Uint32Array,
  highs: Uint32Array,
  index: number,
  low: number,
  high: number,
): boolean {
  const indexHigh = highs[index]!;
  return indexHigh < high || (indexHigh === high && lows[index]! < low);
}

/** From 1 on: what is sought lies above the first. */
function clamp(index: number, last: number): number {
  return index < 1 ? 1 : index > last ? last : index;
}
