import { copyBytes } from '../../base/bytes.ts';
import { ROW_HEADER_BYTES } from '../../base/limits.ts';
import { joinU64 } from '../../base/u64.ts';
import { DATA, DATA_LENGTH, isDeleteRow, VALUE_HIGH, VALUE_LOW } from '../../format/row.ts';
import { BLOCK_BYTES, blockOf, viewOffset } from '../delta/arena.ts';
import { copyData } from '../layer/data-copy.ts';
import { StoredRecord, type TableRecord } from '../layer/table-record.ts';

/** Number of position blocks of a buffer. Its last block may be shorter. */
export function blocksOf(buffer: ArrayBufferLike): number {
  return Math.ceil(buffer.byteLength / BLOCK_BYTES);
}

/**
 * Rows in immutable buffers, addressed by 32-bit positions like those of a `RowArena`. Each buffer
 * starts at a block of its own. A row is in one buffer.
 */
export class RowBlocks {
  /** Indexed by block. Read with `viewOffset`. */
  readonly views: DataView[] = [];
  readonly #bytes: Uint8Array[] = [];

  constructor(buffers: readonly ArrayBufferLike[]) {
    for (const buffer of buffers) {
      for (let start = 0; start < buffer.byteLength; start += BLOCK_BYTES) {
        this.views.push(new DataView(buffer, start));
        this.#bytes.push(new Uint8Array(buffer, start));
      }
    }
  }

  /**
   * Prefetches a row, by the end of its header, because the header may span two cache lines. The
   * cache misses of consecutive calls overlap.
   */
  touch(position: number): number {
    return this.views[blockOf(position)]!.getUint8(viewOffset(position) + ROW_HEADER_BYTES - 1);
  }

  isDelete(position: number): boolean {
    return isDeleteRow(this.views[blockOf(position)]!, viewOffset(position));
  }

  /** A view of `lengthBytes` within one row. */
  bytesAt(position: number, lengthBytes: number): Uint8Array {
    const from = viewOffset(position);
    return this.#bytes[blockOf(position)]!.subarray(from, from + lengthBytes);
  }

  /** Writes the value in the row (0 for a delete) to two words of `target`. */
  readValue(position: number, target: Uint32Array, at: number): void {
    const view = this.views[blockOf(position)]!;
    const offset = viewOffset(position);
    target[at] = view.getUint32(offset + VALUE_LOW, true);
    target[at + 1] = view.getUint32(offset + VALUE_HIGH, true);
  }

  /**
   * Returns the length of the row's data. Copies the data to `offset` of `target` if it fits there.
   */
  readData(position: number, target: Uint8Array, offset: number): number {
    const block = blockOf(position);
    const start = viewOffset(position);
    const lengthBytes = this.views[block]!.getUint32(start + DATA_LENGTH, true);
    if (lengthBytes <= target.length - offset) {
      copyBytes(target, offset, this.#bytes[block]!, start + DATA, lengthBytes);
    }
    return lengthBytes;
  }

  /** The record in the row at `position`, which must not be a delete. The data is a copy. */
  recordAt(position: number): TableRecord {
    const block = blockOf(position);
    const view = this.views[block]!;
    const offset = viewOffset(position);
    const low = view.getUint32(offset + VALUE_LOW, true);
    const high = view.getUint32(offset + VALUE_HIGH, true);
    const from = offset + DATA;
    const end = from + view.getUint32(offset + DATA_LENGTH, true);
    return new StoredRecord(joinU64(low, high), copyData(this.#bytes[block]!, from, end));
  }
}
