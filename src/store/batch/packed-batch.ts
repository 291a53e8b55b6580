import { copyBytes } from '../../base/bytes.ts';
import type { LentConditions } from './condition-list.ts';
import type { BatchBuffer } from './batch-buffer.ts';

/**
 * Rows handed to the commit path: what is in a batch's buffer by now. They stay as they are until
 * `release`.
 */
export class PackedBatch {
  readonly lengthBytes: number;
  readonly recordCount: number;
  readonly conditions: LentConditions | undefined;
  readonly #buffer: BatchBuffer;

  constructor(
    buffer: BatchBuffer,
    lengthBytes: number,
    recordCount: number,
    conditions: LentConditions | undefined,
  ) {
    this.#buffer = buffer;
    this.lengthBytes = lengthBytes;
    this.recordCount = recordCount;
    this.conditions = conditions;
    buffer.lentCount++;
  }

  /** A view of the rows. To copy them, `copyTo` is cheaper. */
  get rows(): Uint8Array {
    const { bytes, start } = this.#buffer;
    return bytes.subarray(start, start + this.lengthBytes);
  }

  copyTo(target: Uint8Array, offset: number): void {
    const { bytes, start } = this.#buffer;
    copyBytes(target, offset, bytes, start, this.lengthBytes);
  }

  /** The rows are no longer read: the batch may write in their place. */
  release(): void {
    this.#buffer.lentCount--;
  }
}
