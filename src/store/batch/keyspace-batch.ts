import type { Condition } from './condition.ts';

/** Full keys of the keys of a keyspace. */
export interface KeyMapping {
  toKey(key: bigint | number): bigint;
}

/** What updates are added to: a `WriteBatch`. */
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
   * As `WriteBatch.put`, of a key of the keyspace. Throws like it, and RangeError for a key with
   * too many bits.
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

  /** As `WriteBatch.delete`, of a key of the keyspace. Throws like `put`. */
  delete(key: bigint | number, condition?: Condition): this {
    this.#batch.delete(this.#keys.toKey(key), condition);
    return this;
  }
}
