import { copyBytes } from '../../base/bytes.ts';
import type { LentConditions } from './condition-list.ts';
import type { BatchBuffer } from './batch-buffer.ts';

/**
 * The rows of a batch, lent to the commit path: the content of its buffer at that time. They do not
 * change until `release`.
 */
export class PackedBatch {
  readonly lengthBytes: number;
  readonly recordCount: number;
  readonly conditions: LentConditions | undefined;
  /** Whether a row deletes an interval of keys. */
  readonly hasIntervals: boolean;
  readonly #buffer: BatchBuffer;

  constructor(
    buffer: BatchBuffer,
    lengthBytes: number,
    recordCount: number,
    conditions: LentConditions | undefined,
    hasIntervals: boolean,
  ) {
    this.#buffer = buffer;
    this.lengthBytes = lengthBytes;
    this.recordCount = recordCount;
    this.conditions = conditions;
    this.hasIntervals = hasIntervals;
    buffer.lentCount++;
  }

  /** A view of the rows. `copyTo` is a cheaper way to copy them. */
  get rows(): Uint8Array {
    const { bytes, start } = this.#buffer;
    return bytes.subarray(start, start + this.lengthBytes);
  }

  copyTo(target: Uint8Array, offset: number): void {
    const { bytes, start } = this.#buffer;
    copyBytes(target, offset, bytes, start, this.lengthBytes);
  }

  /** Ends the loan: the batch may reuse the buffer. */
  release(): void {
    this.#buffer.lentCount--;
  }
}
