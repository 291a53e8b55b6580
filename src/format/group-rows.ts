import { viewOf } from '../base/bytes.ts';
import { ROW_HEADER_BYTES } from '../base/limits.ts';
import { DATA_LENGTH, isDeleteRow } from './row.ts';

/**
 * The decoded payload of a group: its rows, `u64 key | u64 value | u32 dataLength | data`, with
 * value 0 for a delete. If the group has more than one batch, a table with the row count of each
 * batch (u32) follows.
 */
export interface GroupRows {
  readonly rows: Uint8Array;
  /** Number of rows of each batch, in order. */
  readonly batchRecordCounts: Uint32Array;
}

/** Length of the batch table that follows the rows of a group. */
export function batchTableBytes(batchCount: number): number {
  return batchCount > 1 ? 4 * batchCount : 0;
}

/** Length of the row at `offset`, or -1 if it is invalid or does not fit. A delete has no data. */
export function rowLengthAt(view: DataView, offset: number): number {
  return rowLengthWithin(view, offset, view.byteLength);
}

/** Takes the length as a parameter, because reading `byteLength` of a view for each row is slow. */
function rowLengthWithin(view: DataView, offset: number, end: number): number {
  if (offset + ROW_HEADER_BYTES > end) return -1;
  const dataBytes = view.getUint32(offset + DATA_LENGTH, true);
  if (dataBytes > end - offset - ROW_HEADER_BYTES) return -1;
  return dataBytes > 0 && isDeleteRow(view, offset) ? -1 : ROW_HEADER_BYTES + dataBytes;
}

/** Number of rows, or -1 if the bytes are not complete rows. */
export function countRows(rows: Uint8Array): number {
  const view = viewOf(rows);
  const end = rows.length;
  let count = 0;
  let offset = 0;
  while (offset < end) {
    const lengthBytes = rowLengthWithin(view, offset, end);
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
): GroupRows | string {
  const tableBytes = batchTableBytes(batchCount);
  if (batchCount < 1 || tableBytes > decoded.length) return 'the batch table does not fit';
  const rows = decoded.subarray(0, decoded.length - tableBytes);
  if (countRows(rows) !== recordCount) return 'the number of rows differs from the frame header';
  const counts = new Uint32Array(batchCount);
  if (batchCount === 1) {
    counts[0] = recordCount;
    return { rows, batchRecordCounts: counts };
  }
  const view = viewOf(decoded);
  let sum = 0;
  for (let i = 0; i < batchCount; i++) {
    counts[i] = view.getUint32(rows.length + 4 * i, true);
    sum += counts[i]!;
  }
  if (sum !== recordCount) return 'the batches do not add up to the rows';
  return { rows, batchRecordCounts: counts };
}
