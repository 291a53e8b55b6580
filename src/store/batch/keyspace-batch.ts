import type { BoundOptions } from '../../table/layer/key-range.ts';
import type { Condition } from './condition.ts';

/** Maps keys of a keyspace to full keys. */
export interface KeyMapping {
  toKey(key: bigint | number): bigint;
  /** As bounds of full keys. */
  toRange(range: BoundOptions): { readonly gte: bigint; readonly lte: bigint };
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
  deleteRange(range: BoundOptions): unknown;
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

  /** As `WriteBatch.deleteRange`, of keys of the keyspace. Throws like it, and like `put`. */
  deleteRange(range: BoundOptions): this {
    this.#batch.deleteRange(this.#keys.toRange(range));
    return this;
  }
}
