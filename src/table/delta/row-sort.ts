import { blockOf, viewOffset, type RowArena } from './arena.ts';
import { KEY_HIGH, KEY_LOW } from '../../format/row.ts';

const DIGITS_PER_HALF = 4;
const DIGIT_VALUES = 256;

/**
 * Sorts rows by key, rows of one key in the order given (a radix sort, digit by digit from the lowest).
 * Rows that ascend already are returned as they are.
 */
export function sortRows(arena: RowArena, positions: Uint32Array): Uint32Array {
  const count = positions.length;
  const low = new Uint32Array(count);
  const high = new Uint32Array(count);
  const ascends = gatherKeys(arena, positions, low, high);
  if (ascends) return positions;
  let order = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  let spare = new Uint32Array(count);
  for (const half of [low, high]) {
    for (let digit = 0; digit < DIGITS_PER_HALF; digit++) {
      if (!sortByDigit(half, digit * 8, order, spare)) continue;
      [order, spare] = [spare, order];
    }
  }
  for (let i = 0; i < count; i++) spare[i] = positions[order[i]!]!;
  return spare;
}

/** Returns whether the keys ascend. */
function gatherKeys(
  arena: RowArena,
  positions: Uint32Array,
  low: Uint32Array,
  high: Uint32Array,
): boolean {
  const { views } = arena;
  let ascends = true;
  let lastLow = 0;
  let lastHigh = 0;
  for (let i = 0; i < positions.length; i++) {
    const view = views[blockOf(positions[i]!)]!;
    const offset = viewOffset(positions[i]!);
    const keyLow = view.getUint32(offset + KEY_LOW, true);
    const keyHigh = view.getUint32(offset + KEY_HIGH, true);
    if (keyHigh < lastHigh || (keyHigh === lastHigh && keyLow < lastLow)) ascends = false;
    low[i] = lastLow = keyLow;
    high[i] = lastHigh = keyHigh;
  }
  return ascends;
}

/** Moves `order` into `target`, sorted by one byte of `keys`; false when that would change nothing. */
function sortByDigit(
  keys: Uint32Array,
  shift: number,
  order: Uint32Array,
  target: Uint32Array,
): boolean {
  const starts = new Uint32Array(DIGIT_VALUES);
  const count = keys.length;
  for (let i = 0; i < count; i++) starts[(keys[i]! >>> shift) & 255]!++;
  let start = 0;
  for (let value = 0; value < DIGIT_VALUES; value++) {
    const occurrences = starts[value]!;
    if (occurrences === count) return false;
    starts[value] = start;
    start += occurrences;
  }
  for (let i = 0; i < count; i++) {
    const index = order[i]!;
    target[starts[(keys[index]! >>> shift) & 255]!++] = index;
  }
  return true;
}
