import type { KeyPlaces } from './column-search.ts';

/** Slots per record. Slots divide the span of a chunk's keys evenly. */
export const SLOTS_PER_RECORD: number = 1 / 8;

/** A guess this close costs nothing: the record is in the same cache line or the next. */
const DIRECT_STEPS = 2;

/**
 * For every slot, the index of the first record in this slot or a later one. One more element for
 * the end.
 */
export type Slots = Uint16Array | Uint32Array;

/**
 * Divides the key span into slots. Returns undefined if `density` (records per key of the span)
 * already predicts the index of every record.
 */
export function makeSlots(keys: KeyPlaces, density: number): Slots | undefined {
  const { words, count, stride, lowAt, highAt } = keys;
  const slotCount = Math.floor(count * SLOTS_PER_RECORD) + 1;
  const slots = count > 0xffff ? new Uint32Array(slotCount + 1) : new Uint16Array(slotCount + 1);
  let isDirect = true;
  let slot = 0;
  for (let i = 0; i < count; i++) {
    const high = highAt < 0 ? 0 : words[highAt + i * stride]!;
    const offset = high * 0x1_0000_0000 + words[lowAt + i * stride]!;
    const position = offset * density;
    const own = (position * SLOTS_PER_RECORD) | 0;
    while (slot <= own) slots[slot++] = i;
    isDirect &&= Math.abs(Math.round(position) - i) <= DIRECT_STEPS;
  }
  if (isDirect) return undefined;
  slots.fill(count, slot);
  return slots;
}

/** Slots pay off after about this many searches. */
const SEARCHES_UNTIL_INDEXED = 64;
let turn = 0;

/**
 * Number of searches of a chunk until its slots are made. It varies by a factor of two, so that not
 * all chunks make them at the same time.
 */
export function searchesUntilSlots(): number {
  turn = (turn + 0.618_034) % 1;
  return Math.floor(SEARCHES_UNTIL_INDEXED * (1 + turn));
}
