import { BatchTooLargeError, type StoreError } from '../../base/errors.ts';
import { ROW_HEADER_BYTES } from '../../base/limits.ts';
import { WriteBatch } from '../../store/batch/write-batch.ts';
import type { InputRecord } from './record-input.ts';

const BATCH_RECORDS = 1_000;
const BATCH_BYTES: number = 1024 * 1024;
/** So that while one group is on its way to the disk the next is made. */
const MAX_IN_FLIGHT = 8;

/** Takes batches in order; each promise resolves when its batch is durable. */
export interface BatchSink {
  insertBatch(batch: WriteBatch): Promise<unknown>;
}

/**
 * Packs records into batches of about a thousand, several of them on their way at a time. Batches
 * become durable in order: `acknowledged` counts the first records that are.
 */
export class RecordLoader {
  readonly #open: () => Promise<BatchSink>;
  #sink: BatchSink | undefined;
  #batch: WriteBatch = new WriteBatch();
  readonly #inFlight: Promise<unknown>[] = [];
  #error: StoreError | undefined;
  acknowledged = 0;

  /** `open` is called when the first batch is full or the input ends. */
  constructor(open: () => Promise<BatchSink>) {
    this.#open = open;
  }

  /** Undefined when the record fits, and the loader has room; else to be awaited. */
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
    return this.#send().then(() => {
      this.#batch.put(key, value, data);
    });
  }

  /** Sends what is left, and waits until all is durable. Rejects with the first failure. */
  async finish(): Promise<void> {
    await this.#send();
    await this.settle();
    if (this.#error !== undefined) throw this.#error;
  }

  /** Waits for the batches that are on their way; what has not been sent is dropped. */
  async settle(): Promise<void> {
    await Promise.all(this.#inFlight.splice(0));
  }

  async #send(): Promise<void> {
    this.#sink ??= await this.#open();
    if (this.#inFlight.length >= MAX_IN_FLIGHT) await this.#inFlight.shift();
    if (this.#error !== undefined) throw this.#error;
    const { size } = this.#batch;
    if (size === 0) return;
    // Never rejects: a failure is kept, and met by the next batch or the end.
    const sent = this.#sink.insertBatch(this.#batch).then(
      () => {
        if (this.#error === undefined) this.acknowledged += size;
      },
      (error: StoreError) => {
        this.#error ??= error;
      },
    );
    this.#inFlight.push(sent);
    this.#batch = new WriteBatch();
  }
}

/** Whether an error is about one record that no batch can hold. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof BatchTooLargeError;
}
