import { ROW_HEADER_BYTES } from '../../base/limits.ts';
import { joinU64 } from '../../base/u64.ts';
import { DATA, DATA_LENGTH, isDeleteRow, VALUE_HIGH, VALUE_LOW } from '../../format/row.ts';
import { StoredRecord, type TableRecord } from '../layer/table-record.ts';
import { NO_RECORD, type DataLength } from '../layer/update-layer.ts';
import { blockOf, viewOffset, type RowArena } from './arena.ts';

/** Reads rows by their positions in an arena. */
export class RowReader {
  readonly #arena: RowArena;

  constructor(arena: RowArena) {
    this.#arena = arena;
  }

  isDelete(position: number): boolean {
    return isDeleteRow(this.#arena.views[blockOf(position)]!, viewOffset(position));
  }

  /** Length of header and data. */
  lengthBytes(position: number): number {
    const view = this.#arena.views[blockOf(position)]!;
    return ROW_HEADER_BYTES + view.getUint32(viewOffset(position) + DATA_LENGTH, true);
  }

  /** The record in the row, or null if the row is a delete. */
  recordAt(position: number): TableRecord | null {
    const view = this.#arena.views[blockOf(position)]!;
    const offset = viewOffset(position);
    const low = view.getUint32(offset + VALUE_LOW, true);
    const high = view.getUint32(offset + VALUE_HIGH, true);
    if (low === 0 && high === 0) return null;
    const dataLength = view.getUint32(offset + DATA_LENGTH, true);
    return new StoredRecord(joinU64(low, high), this.#arena.copy(position + DATA, dataLength));
  }

  /** Writes the value (0 for a delete) to two words of `target`. */
  readValue(position: number, target: Uint32Array, at: number): void {
    const view = this.#arena.views[blockOf(position)]!;
    const offset = viewOffset(position);
    target[at] = view.getUint32(offset + VALUE_LOW, true);
    target[at + 1] = view.getUint32(offset + VALUE_HIGH, true);
  }

  /** Returns the length of the data. Copies the data to `offset` of `target` if it fits there. */
  readData(position: number, target: Uint8Array, offset: number): DataLength {
    if (this.isDelete(position)) return NO_RECORD;
    const lengthBytes = this.lengthBytes(position) - ROW_HEADER_BYTES;
    if (lengthBytes <= target.length - offset) {
      this.#arena.copyTo(target, offset, position + DATA, lengthBytes);
    }
    return lengthBytes;
  }
}
