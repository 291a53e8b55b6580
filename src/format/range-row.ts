import type { KeyInterval } from '../base/interval-set.ts';
import { ROW_HEADER_BYTES } from '../base/limits.ts';
import { DATA, DATA_LENGTH, isDeleteRow, KEY_LOW } from './row.ts';

/** Data of a row that deletes an interval of keys: the highest key. Its key is the lowest one. */
export const RANGE_DATA_BYTES = 8;
export const RANGE_ROW_BYTES: number = ROW_HEADER_BYTES + RANGE_DATA_BYTES;

/**
 * Whether the row at `offset` deletes an interval of keys: it is a delete with data. The row is
 * known to be whole.
 */
export function isRangeRow(view: DataView, offset: number): boolean {
  return view.getUint32(offset + DATA_LENGTH, true) !== 0 && isDeleteRow(view, offset);
}

export function intervalAt(view: DataView, offset: number): KeyInterval {
  return {
    lowest: view.getBigUint64(offset + KEY_LOW, true),
    highest: view.getBigUint64(offset + DATA, true),
  };
}

/** Writes a row that deletes an interval. */
export function writeRangeRow(
  view: DataView,
  offset: number,
  { lowest, highest }: KeyInterval,
): void {
  for (let at = 0; at < RANGE_ROW_BYTES; at += 4) view.setUint32(offset + at, 0, true);
  view.setBigUint64(offset + KEY_LOW, lowest, true);
  view.setUint32(offset + DATA_LENGTH, RANGE_DATA_BYTES, true);
  view.setBigUint64(offset + DATA, highest, true);
}

/** Consecutive rows, or one interval that is deleted. */
export type RowsPart =
  | { readonly kind: 'rows'; readonly rows: Uint8Array }
  | { readonly kind: 'interval'; readonly interval: KeyInterval };

/** Target size of a part. */
const PART_BYTES: number = 256 * 1024;

/**
 * Divides complete rows into parts, in order: each deleted interval is a part, and longer sequences
 * of rows are cut. No part is empty.
 */
export function* partsOf(rows: Uint8Array): Generator<RowsPart, void, undefined> {
  const view = new DataView(rows.buffer, rows.byteOffset, rows.length);
  let from = 0;
  for (let offset = 0; offset < rows.length;) {
    const end = offset + ROW_HEADER_BYTES + view.getUint32(offset + DATA_LENGTH, true);
    if (isRangeRow(view, offset)) {
      if (offset > from) yield { kind: 'rows', rows: rows.subarray(from, offset) };
      yield { kind: 'interval', interval: intervalAt(view, offset) };
      from = end;
    } else if (end - from >= PART_BYTES) {
      yield { kind: 'rows', rows: rows.subarray(from, end) };
      from = end;
    }
    offset = end;
  }
  if (rows.length > from) yield { kind: 'rows', rows: rows.subarray(from) };
}
