import { viewOf } from '../base/bytes.ts';
import { ROW_HEADER_BYTES } from '../base/limits.ts';
import { intervalAt, isRangeRow, RANGE_DATA_BYTES } from './range-row.ts';
import { DATA_LENGTH, isDeleteRow } from './row.ts';

/**
 * The decoded payload of a group: its rows, `u64 key | u64 value | u32 dataLength | data`, with
 * value 0 for a delete. A delete with 8 bytes of data deletes all keys from `key` up to the u64
 * there; only logs of version 3 have such rows. If the group has more than one batch, a table with
 * the row count of each batch (u32) follows.
 */
export interface GroupRows {
  readonly rows: Uint8Array;
  /** Number of rows of each batch, in order. */
  readonly batchRecordCounts: Uint32Array;
  /** Whether a row deletes an interval of keys. */
  readonly hasIntervals: boolean;
}

/** Length of the batch table that follows the rows of a group. */
export function batchTableBytes(batchCount: number): number {
  return batchCount > 1 ? 4 * batchCount : 0;
}

/** Whether rows may delete intervals of keys. */
export type RowKinds = 'single' | 'with-intervals';

/** Length of the row at `offset`, or -1 if it is invalid or does not fit. */
export function rowLengthAt(view: DataView, offset: number): number {
  return rowLengthWithin(view, offset, view.byteLength, 'with-intervals');
}

/** Takes the length as a parameter, because reading `byteLength` of a view for each row is slow. */
function rowLengthWithin(view: DataView, offset: number, end: number, kinds: RowKinds): number {
  if (offset + ROW_HEADER_BYTES > end) return -1;
  const dataBytes = view.getUint32(offset + DATA_LENGTH, true);
  if (dataBytes > end - offset - ROW_HEADER_BYTES) return -1;
  if (dataBytes === 0 || !isDeleteRow(view, offset)) return ROW_HEADER_BYTES + dataBytes;
  if (kinds === 'single' || dataBytes !== RANGE_DATA_BYTES) return -1;
  const { lowest, highest } = intervalAt(view, offset);
  return lowest <= highest ? ROW_HEADER_BYTES + dataBytes : -1;
}

/** Number of rows, or -1 if the bytes are not complete rows. */
export function countRows(rows: Uint8Array, kinds: RowKinds = 'single'): number {
  const view = viewOf(rows);
  const end = rows.length;
  let count = 0;
  let offset = 0;
  while (offset < end) {
    const lengthBytes = rowLengthWithin(view, offset, end, kinds);
    if (lengthBytes < 0) return -1;
    offset += lengthBytes;
    count++;
  }
  return count;
}

/**
 * Splits a group's decoded payload. Returns the reason as a string if its rows or its batch table
 * do not match the frame header.
 */
export function decodeGroup(
  decoded: Uint8Array,
  batchCount: number,
  recordCount: number,
  kinds: RowKinds = 'single',
): GroupRows | string {
  const tableBytes = batchTableBytes(batchCount);
  if (batchCount < 1 || tableBytes > decoded.length) return 'the batch table does not fit';
  const rows = decoded.subarray(0, decoded.length - tableBytes);
  if (countRows(rows, kinds) !== recordCount) {
    return 'the number of rows differs from the frame header';
  }
  const hasIntervals = kinds === 'with-intervals' && holdsInterval(rows);
  if (hasIntervals && batchCount > 1) return 'a delete of an interval is not in a group of its own';
  const counts = new Uint32Array(batchCount);
  if (batchCount === 1) {
    counts[0] = recordCount;
    return { rows, batchRecordCounts: counts, hasIntervals };
  }
  const view = viewOf(decoded);
  let sum = 0;
  for (let i = 0; i < batchCount; i++) {
    counts[i] = view.getUint32(rows.length + 4 * i, true);
    sum += counts[i]!;
  }
  if (sum !== recordCount) return 'the batches do not add up to the rows';
  return { rows, batchRecordCounts: counts, hasIntervals };
}

/** Whether one of these rows, which have been checked, deletes an interval of keys. */
export function holdsInterval(rows: Uint8Array): boolean {
  const view = viewOf(rows);
  for (let offset = 0; offset < rows.length;) {
    if (isRangeRow(view, offset)) return true;
    offset += ROW_HEADER_BYTES + view.getUint32(offset + DATA_LENGTH, true);
  }
  return false;
}
