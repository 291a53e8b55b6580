import { EventEmitter } from 'node:events';
import type { RangeOptions } from '../table/layer/key-range.ts';
import type { TableRecord } from '../table/layer/table-record.ts';
import type { Table } from '../table/table.ts';
import type { StoreEvents } from './observe/store-events.ts';
import { getInto, getMany, hasMany, valueOf } from './point-reads.ts';
import type { GetManyOptions, ManyRecords } from './point-reads.ts';

/** The synchronous reads of a store. */
export abstract class ReadableStore extends EventEmitter<StoreEvents> {
  /** The current table; throws StoreClosedError. */
  readonly #read: () => Table;

  protected constructor(read: () => Table) {
    super();
    this.#read = read;
  }

  /** Number of records. */
  get size(): number {
    return this.#read().size;
  }

  /**
   * Returns the record of `key` after the last acknowledged batch, or undefined; `data` is a copy.
   * @throws TypeError or RangeError for a key that is no u64; StoreClosedError
   */
  get(key: bigint | number): TableRecord | undefined {
    return this.#read().get(key);
  }

  /** Returns the value of `key` without its data, or undefined. Throws like `get`. */
  override valueOf(key: bigint | number): bigint | undefined {
    return valueOf(this.#read(), key);
  }

  /**
   * Copies the data of `key` to `offset` of `target` without an allocation. Returns the length of
   * the data in bytes, or undefined for a key without a record.
   * @throws RangeError when the data do not fit, with nothing copied; else like `get`
   */
  getInto(key: bigint | number, target: Uint8Array, offset = 0): number | undefined {
    return getInto(this.#read(), key, target, offset);
  }

  /**
   * Returns the values of many keys in the order of the keys; 0 for a key without a record. With
   * `into` the values are written to that array. With `data` a copy of each record's data is added.
   * @throws TypeError or RangeError that names the argument; StoreClosedError
   */
  getMany(keys: BigUint64Array, options?: GetManyOptions & { data?: false }): BigUint64Array;
  getMany(keys: BigUint64Array, options: GetManyOptions & { data: true }): ManyRecords;
  getMany(keys: BigUint64Array, options: GetManyOptions = {}): BigUint64Array | ManyRecords {
    return getMany(this.#read(), keys, options);
  }

  /** Returns 1 for each key with a record and 0 for each without one. Throws like `getMany`. */
  hasMany(keys: BigUint64Array): Uint8Array {
    return hasMany(this.#read(), keys);
  }

  /** Whether `key` has a record. Throws like `get`. */
  has(key: bigint | number): boolean {
    return this.#read().has(key);
  }

  /**
   * Iterates lazily over keys and records in ascending key order (descending with `reverse`). Shows
   * the state at this call: later writes do not appear.
   * @throws TypeError or RangeError that names the option
   */
  entries(range?: RangeOptions): IterableIterator<[bigint, TableRecord]> {
    return this.#read().entries(range);
  }

  /** Iterates over the keys only, like `entries`. */
  keys(range?: RangeOptions): IterableIterator<bigint> {
    return this.#read().keys(range);
  }

  /** Iterates over the records only, like `entries`. */
  values(range?: RangeOptions): IterableIterator<TableRecord> {
    return this.#read().values(range);
  }

  [Symbol.iterator](): IterableIterator<[bigint, TableRecord]> {
    return this.entries();
  }
}
