import { assert } from '../base/assert.ts';

/** The block length of common file systems is this, or a divisor of it. */
const BLOCK_BYTES = 4_096;
/** For longer writes, the partial block is insignificant and the copy is expensive. */
const MAX_COVERED_BYTES: number = 1024 * 1024;

/** A write to the file: `bytes` at `offset`. */
export interface CoveredWrite {
  /** Valid until the next call of `cover`. */
  readonly bytes: Uint8Array;
  readonly offset: number;
}

/**
 * Widens writes to whole blocks. A durable write with partial blocks costs half as much again as
 * one of whole blocks (19 kB: 189 against 128 us on ext4), because each partial block is a separate
 * request to the device. The added bytes repeat what the file holds before the write, and zeros
 * over zeros after it. So whatever part of the write a crash leaves, earlier bytes cannot change.
 */
export class BlockCover {
  /** The bytes of the file from the start of the block in which the next write begins. */
  readonly #tail: Uint8Array = new Uint8Array(BLOCK_BYTES);
  /** Offset of the next write. */
  #end = 0;
  #buffer: Uint8Array = new Uint8Array(16 * BLOCK_BYTES);

  /** End of the durable bytes. */
  get end(): number {
    return this.#end;
  }

  /**
   * Returns the write that appends `bytes` to the log. A write within one block is not widened.
   * Zeros are added only up to `limit`: beyond the reserved bytes they could fail for lack of space
   * although `bytes` would fit.
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

  /** Records that `bytes` were appended and are durable. */
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
