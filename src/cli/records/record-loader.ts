import { BatchTooLargeError } from '../../base/errors.ts';
import type { Awaitable } from '../../base/flow.ts';
import { ROW_HEADER_BYTES } from '../../base/limits.ts';
import { WriteBatch } from '../../store/batch/write-batch.ts';
import type { InputRecord } from './record-input.ts';

const BATCH_RECORDS = 1_000;
const BATCH_BYTES: number = 1024 * 1024;

/**
 * Receives batches in order. A batch is durable when the call has returned or its promise has
 * resolved.
 */
export interface BatchSink {
  commit(batch: WriteBatch): Awaitable<unknown>;
}

/**
 * Packs records into batches of about a thousand and commits one after the other. `acknowledged` is
 * the number of durable records, a prefix of the input.
 */
export class RecordLoader {
  readonly #open: () => Promise<BatchSink>;
  readonly #batch: WriteBatch = new WriteBatch();
  #sink: BatchSink | undefined;
  acknowledged = 0;

  /** `open` is called when the first batch is full or the input ends. */
  constructor(open: () => Promise<BatchSink>) {
    this.#open = open;
  }

  /** Returns undefined if the record fits. Otherwise the promise must be awaited. */
  add(record: InputRecord): Promise<void> | undefined {
    const { key, value, data } = record;
    const isFull =
      this.#batch.size >= BATCH_RECORDS ||
      (this.#batch.size > 0 &&
        this.#batch.byteLength + ROW_HEADER_BYTES + data.length > BATCH_BYTES);
    if (!isFull) {
      this.#batch.put(key, value, data);
      return undefined;
    }
    return this.finish().then(() => {
      this.#batch.put(key, value, data);
    });
  }

  /** Commits the pending records. Rejects with the sink's error. */
  async finish(): Promise<void> {
    this.#sink ??= await this.#open();
    const { size } = this.#batch;
    if (size === 0) return;
    await this.#sink.commit(this.#batch);
    this.acknowledged += size;
    this.#batch.clear();
  }
}

/** Whether an error concerns one record that is too large for a batch. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof BatchTooLargeError;
}
