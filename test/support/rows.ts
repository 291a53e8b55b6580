import { ROW_HEADER_BYTES } from '../../src/base/limits.ts';
import type { Table } from '../../src/table/table.ts';

/** `value` 0 deletes the key. */
export interface TestRow {
  readonly key: bigint;
  readonly value: bigint;
  readonly data?: Uint8Array;
}

const NO_DATA = new Uint8Array(0);

export function rowsLength(rows: readonly TestRow[]): number {
  return rows.reduce((sum, row) => sum + ROW_HEADER_BYTES + (row.data ?? NO_DATA).length, 0);
}

/** Writes rows in the row format, in the simplest way. */
export function writeRows(target: Uint8Array, rows: readonly TestRow[]): void {
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  let offset = 0;
  for (const { key, value, data = NO_DATA } of rows) {
    view.setBigUint64(offset, key, true);
    view.setBigUint64(offset + 8, value, true);
    view.setUint32(offset + 16, data.length, true);
    target.set(data, offset + ROW_HEADER_BYTES);
    offset += ROW_HEADER_BYTES + data.length;
  }
}

/** One group, from reservation to publication. */
export function publishRows(table: Table, rows: readonly TestRow[]): void {
  const lengthBytes = rowsLength(rows);
  const region = table.reserve(lengthBytes);
  writeRows(region.bytes, rows);
  table.publish(region, lengthBytes);
}
