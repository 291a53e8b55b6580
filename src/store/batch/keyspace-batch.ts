import type { Condition } from './condition.ts';

/** Maps keys of a keyspace to full keys. */
export interface KeyMapping {
  toKey(key: bigint | number): bigint;
}

/** The part of `WriteBatch` that takes updates. */
export interface BatchUpdates {
  put(
    key: bigint | number,
    value: bigint | number,
    data?: Uint8Array,
    condition?: Condition,
  ): unknown;
  delete(key: bigint | number, condition?: Condition): unknown;
}

/** Adds updates of one keyspace to a batch. */
export class KeyspaceBatch {
  readonly #batch: BatchUpdates;
  readonly #keys: KeyMapping;

  constructor(batch: BatchUpdates, keys: KeyMapping) {
    this.#batch = batch;
    this.#keys = keys;
  }

  /**
   * Like `WriteBatch.put`, with a key of the keyspace. Throws like it, and RangeError for a key
   * with too many bits.
   */
  put(
    key: bigint | number,
    value: bigint | number,
    data?: Uint8Array,
    condition?: Condition,
  ): this {
    this.#batch.put(this.#keys.toKey(key), value, data, condition);
    return this;
  }

  /** Like `WriteBatch.delete`, with a key of the keyspace. Throws like `put`. */
  delete(key: bigint | number, condition?: Condition): this {
    this.#batch.delete(this.#keys.toKey(key), condition);
    return this;
  }
}
