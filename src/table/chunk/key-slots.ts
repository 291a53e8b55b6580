import type { KeyPlaces } from './column-search.ts';

/** Slots that share the span of a chunk's keys evenly, per record. */
export const SLOTS_PER_RECORD: number = 1 / 8;

/**
 * A guess that is off by no more costs nothing: the record lies in the same cache line or the next.
 */
const DIRECT_STEPS = 2;

/**
 * Index of the first record that lies in this slot or a later one, for every slot and for one
 * behind the last.
 */
export type Slots = Uint16Array | Uint32Array;

/**
 * Divides the span of the keys into slots. Undefined where each record lies where `density`, the
 * number of records per key of the span, says that it does.
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

/** Slots pay off after about as many searches. */
const SEARCHES_UNTIL_INDEXED = 64;
let turn = 0;

/**
 * Searches of a chunk until its slots are made: up to twice as many, so that not all chunks make
 * theirs at once.
 */
export function searchesUntilSlots(): number {
  turn = (turn + 0.618_034) % 1;
  return Math.floor(SEARCHES_UNTIL_INDEXED * (1 + turn));
}
