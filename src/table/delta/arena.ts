import { copyData } from '../layer/data-copy.ts';
import { assert } from '../../base/assert.ts';
import { copyBytes } from '../../base/bytes.ts';
import { MAX_DELTA_BYTES } from '../../base/limits.ts';

const BLOCK_BITS = 20;
export const BLOCK_BYTES: number = 2 ** BLOCK_BITS;
const OFFSET_MASK: number = BLOCK_BYTES - 1;

/** Whether V8 counts new memory, see `uncountedWords`. */
export type RowMemory = 'counted' | 'uncounted';

/** Space for one group's rows. `position` is the position of `bytes[0]`. */
export interface Region {
  readonly bytes: Uint8Array;
  readonly position: number;
}

/**
 * Append-only memory, addressed by 32-bit positions: the block is `position >>> 20`. A group's rows
 * are in one buffer, which has one block or, for long groups, several. The view of a block starts
 * at the block and ends at the end of its buffer, so it includes every row that begins in the
 * block. Positions ascend.
 */
export class RowArena {
  /** Indexed by block. Read with {@link viewOffset}. */
  readonly views: DataView[] = [];
  readonly #bytes: Uint8Array[] = [];
  #end = 0;
  /** End of the buffer that has `#end`. */
  #bufferEnd = 0;

  /** Bytes of all buffers. Pages that no row was written to are not resident. */
  get memoryBytes(): number {
    return this.views.length * BLOCK_BYTES;
  }

  /** Bytes of positions in use, including those wasted at the ends of buffers. */
  get usedBytes(): number {
    return this.#end;
  }

  hasRoomFor(lengthBytes: number): boolean {
    return this.#startFor(lengthBytes) + lengthBytes <= MAX_DELTA_BYTES;
  }

  /** Reserves `lengthBytes` contiguous bytes. The caller must have called {@link hasRoomFor}. */
  reserve(lengthBytes: number, memory: RowMemory = 'counted'): Region {
    assert(lengthBytes > 0 && this.hasRoomFor(lengthBytes), 'a delta is bounded');
    const position = this.#startFor(lengthBytes);
    if (position + lengthBytes > this.#bufferEnd) this.#addBuffer(lengthBytes, memory);
    this.#end = position + lengthBytes;
    const offset = position & OFFSET_MASK;
    const bytes = this.#bytes[position >>> BLOCK_BITS]!.subarray(offset, offset + lengthBytes);
    return { bytes, position };
  }

  /**
   * Releases the part of a region after its first `keptBytes`, if nothing was reserved after the
   * region.
   */
  release(region: Region, keptBytes: number): void {
    if (this.#end === region.position + region.bytes.length)
      this.#end = region.position + keptBytes;
  }

  /** Returns a copy of `lengthBytes` within one row. */
  copy(position: number, lengthBytes: number): Uint8Array {
    const start = position & OFFSET_MASK;
    return copyData(this.#bytes[position >>> BLOCK_BITS]!, start, start + lengthBytes);
  }

  /** Copies `lengthBytes` within one row to `offset` of `target`. */
  copyTo(target: Uint8Array, offset: number, position: number, lengthBytes: number): void {
    const start = position & OFFSET_MASK;
    copyBytes(target, offset, this.#bytes[position >>> BLOCK_BITS]!, start, lengthBytes);
  }

  #startFor(lengthBytes: number): number {
    return this.#end + lengthBytes <= this.#bufferEnd ? this.#end : this.views.length * BLOCK_BYTES;
  }

  #addBuffer(lengthBytes: number, memory: RowMemory): void {
    const blocks = Math.ceil(lengthBytes / BLOCK_BYTES);
    const buffer = new (memory === 'counted' ? ArrayBuffer : SharedArrayBuffer)(
      blocks * BLOCK_BYTES,
    );
    for (let i = 0; i < blocks; i++) {
      this.views.push(new DataView(buffer, i * BLOCK_BYTES));
      this.#bytes.push(new Uint8Array(buffer, i * BLOCK_BYTES));
    }
    this.#bufferEnd = this.views.length * BLOCK_BYTES;
  }
}

/** Index of the view that has `position`. */
export function blockOf(position: number): number {
  return position >>> BLOCK_BITS;
}

/** Offset of `position` in the view of its block. */
export function viewOffset(position: number): number {
  return position & OFFSET_MASK;
}
