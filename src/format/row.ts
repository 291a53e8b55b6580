import { ROW_HEADER_BYTES } from '../base/limits.ts';

/** Offsets in a row, `u64 key | u64 value | u32 dataLength | data`. */
export const KEY_LOW = 0;
export const KEY_HIGH = 4;
export const VALUE_LOW = 8;
export const VALUE_HIGH = 12;
export const DATA_LENGTH = 16;
export const DATA: number = ROW_HEADER_BYTES;

/** Offset of the high half of a u64 from its low half. */
export const U64_HIGH = 4;

/** The same offsets in u32 words, for rows that are aligned to four bytes. */
export const KEY_LOW_WORD = 0;
export const KEY_HIGH_WORD = 1;
export const VALUE_LOW_WORD = 2;
export const VALUE_HIGH_WORD = 3;
export const DATA_LENGTH_WORD = 4;

/** Whether the row at `offset` deletes its key. */
export function isDeleteRow(view: DataView, offset: number): boolean {
  return (
    view.getUint32(offset + VALUE_LOW, true) === 0 &&
    view.getUint32(offset + VALUE_HIGH, true) === 0
  );
}

/** Makes a delete of its key of the row at `offset`. What was its data is no part of it then. */
export function makeDeleteRow(view: DataView, offset: number): void {
  view.setUint32(offset + VALUE_LOW, 0, true);
  view.setUint32(offset + VALUE_HIGH, 0, true);
  view.setUint32(offset + DATA_LENGTH, 0, true);
}

/** Writes a row that deletes the key of these halves. */
export function writeDeleteRow(view: DataView, offset: number, low: number, high: number): void {
  view.setUint32(offset + KEY_LOW, low, true);
  view.setUint32(offset + KEY_HIGH, high, true);
  makeDeleteRow(view, offset);
}
