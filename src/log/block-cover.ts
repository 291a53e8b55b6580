import { assert } from '../base/assert.ts';

/** Blocks of every file system in use are this long, or divide it. */
const BLOCK_BYTES = 4_096;
/** Past this length the rest of a block no longer matters, and the copy would. */
const MAX_COVERED_BYTES: number = 1024 * 1024;

/** What is handed to the file: `bytes` at `offset`. */
export interface CoveredWrite {
  /** Valid until the next write is covered. */
  readonly bytes: Uint8Array;
  readonly offset: number;
}

/**
 * Widens writes to whole blocks. A durable write that begins and ends within blocks costs half as
 * much again as one of whole blocks (19 kB: 189 against 128 us on ext4), since each partial block
 * is a request of its own to the device. In front, the write repeats what the file holds, and
 * behind it writes zeros over zeros: whatever part of it a crash keeps, nothing that was there
 * before can change.
 */
export class BlockCover {
  /** The bytes of the file from the beginning of the block that the next write begins in. */
  readonly #tail: Uint8Array = new Uint8Array(BLOCK_BYTES);
  /** Where the next write begins. */
  #end = 0;
  #buffer: Uint8Array = new Uint8Array(16 * BLOCK_BYTES);

  /** Where what is durable ends. */
  get end(): number {
    return this.#end;
  }

  /**
   * The write that puts `bytes` at the end of the file. A write within one block stays as it is.
   * Zeros are written up to `limit` only: past what is reserved they could fail where the bytes
   * themselves do not.
   */
  cover(bytes: Uint8Array, limit: number): CoveredWrite {
    const leadBytes = this.#end % BLOCK_BYTES;
    const usedBytes = leadBytes + bytes.length;
    if (usedBytes <= BLOCK_BYTES || usedBytes > MAX_COVERED_BYTES) {
      return { bytes, offset: this.#end };
    }
    const wholeBytes = Math.ceil(usedBytes / BLOCK_BYTES) * BLOCK_BYTES;
    const limitBytes = limit - (this.#end - leadBytes);
    const coveredBytes = Math.max(usedBytes, Math.min(wholeBytes, limitBytes));
    if (this.#buffer.length < coveredBytes) this.#buffer = new Uint8Array(2 * coveredBytes);
    this.#buffer.set(this.#tail.subarray(0, leadBytes));
    this.#buffer.set(bytes, leadBytes);
    this.#buffer.fill(0, usedBytes, coveredBytes);
    return { bytes: this.#buffer.subarray(0, coveredBytes), offset: this.#end - leadBytes };
  }

  /** `bytes` are durable at the end of the file. */
  advance(bytes: Uint8Array): void {
    const end = this.#end + bytes.length;
    const blockStart = end - (end % BLOCK_BYTES);
    const keptFrom = Math.max(0, blockStart - this.#end);
    assert(keptFrom <= bytes.length, 'the tail lies in what was written or before');
    const tailOffset = Math.max(0, this.#end - blockStart);
    this.#tail.set(bytes.subarray(keptFrom), tailOffset);
    this.#end = end;
  }
}
