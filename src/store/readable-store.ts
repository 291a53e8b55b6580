import { EventEmitter } from 'node:events';
import { jsonForm, showJson } from '../base/json-form.ts';
import { ALL_KEYS } from '../table/layer/key-prefix.ts';
import type { BoundOptions, RangeOptions } from '../table/layer/key-range.ts';
import type { TableRecord } from '../table/layer/table-record.ts';
import type { Pace } from '../table/scan/pace.ts';
import type { StoreIterator } from '../table/scan/record-iterator.ts';
import type { Table } from '../table/table.ts';
import type { Condition } from './batch/condition.ts';
import type { Inserted, InsertOptions } from './batch/insert-options.ts';
import {
  checkContentHashOptions,
  computeContentHash,
  type ContentHash,
  type ContentHashOptions,
} from './content-hash.ts';
import { countRecords, type CountOptions } from './count.ts';
import { checkKeyspace, Keyspace, type KeyspaceOptions, type SingleWrites } from './keyspace.ts';
import type { StoreEvents } from './observe/store-events.ts';
import { getInto, getMany, hasMany, valueOf } from './point-reads.ts';
import type { GetManyOptions, ManyRecords } from './point-reads.ts';
import type { ReadSource } from './record-reads.ts';
import { endKey, ITERATING } from './key-reads.ts';
import { Slices } from './slices.ts';
import type { StoreStats } from './stats.ts';
import { SnapshotSet, type StoreSnapshot } from './store-snapshot.ts';
import { entriesByValue, type ValueRangeOptions } from './value-entries.ts';

/** The source of a store's reads. */
export interface TableSource extends ReadSource {
  readonly records: () => Table;
}

/** The reads of a store. */
export abstract class ReadableStore extends EventEmitter<StoreEvents> implements SingleWrites {
  /** Returns the current table. Throws StoreClosedError. */
  readonly #read: () => Table;
  readonly #source: TableSource;
  /** The pace of `for await`. */
  readonly #pace: () => Pace;
  /** Internal: the snapshots that were not released. */
  protected readonly snapshots: SnapshotSet = new SnapshotSet();

  protected constructor(source: TableSource) {
    super();
    this.#source = source;
    this.#pace = () => new Slices(ITERATING, { ...source.hooks, signal: undefined });
    this.#read = source.records;
  }

  /** The current figures. */
  abstract stats(): StoreStats;

  /** What `JSON.stringify` and the console show: where the store is, and what it holds. */
  toJSON(): unknown {
    const { directory, state, readOnly, records, lastSequence } = this.stats();
    return jsonForm({ directory, state, readOnly, records, lastSequence });
  }

  /** Number of records. */
  get size(): number {
    return this.#read().size;
  }

  /**
   * Returns the record of `key` after the last acknowledged batch, or undefined; `data` is a copy.
   * @throws TypeError or RangeError for a key that is not a u64; StoreClosedError
   */
  get(key: bigint | number): TableRecord | undefined {
    return this.#read().get(key);
  }

  /** Returns the value of `key` without its data, or undefined. Throws like `get`. */
  override valueOf(key: bigint | number): bigint | undefined {
    return valueOf(this.#read(), key, ALL_KEYS);
  }

  /**
   * Copies the data of `key` to `offset` of `target` without an allocation. Returns the length of
   * the data in bytes, or undefined for a key without a record.
   * @throws RangeError if the data do not fit, with nothing copied; otherwise like `get`
   */
  getInto(key: bigint | number, target: Uint8Array, offset = 0): number | undefined {
    return getInto(this.#read(), key, ALL_KEYS, target, offset);
  }

  /**
   * Returns the values of many keys in the order of the keys; 0 for a key without a record. With
   * `into` the values are written to that array. With `data` a copy of each record's data is added.
   * @throws TypeError or RangeError that names the argument; StoreClosedError
   */
  getMany(keys: BigUint64Array, options?: GetManyOptions & { data?: false }): BigUint64Array;
  getMany(keys: BigUint64Array, options: GetManyOptions & { data: true }): ManyRecords;
  getMany(keys: BigUint64Array, options: GetManyOptions = {}): BigUint64Array | ManyRecords {
    return getMany(this.#read(), keys, ALL_KEYS, options);
  }

  /** Returns 1 for each key with a record and 0 for each without one. Throws like `getMany`. */
  hasMany(keys: BigUint64Array): Uint8Array {
    return hasMany(this.#read(), keys, ALL_KEYS);
  }

  /** Whether `key` has a record. Throws like `get`. */
  has(key: bigint | number): boolean {
    return this.#read().has(key);
  }

  /**
   * Iterates lazily over keys and records in ascending key order (descending with `reverse`). Shows
   * the state at this call: later writes do not appear. `for await` iterates in slices that do not
   * block the event loop.
   * @throws TypeError or RangeError that names the option
   */
  entries(range?: RangeOptions): StoreIterator<[bigint, TableRecord]> {
    return this.#read().view().entries(range, undefined, this.#pace);
  }

  /** Iterates over the keys only, like `entries`. */
  keys(range?: RangeOptions): StoreIterator<bigint> {
    return this.#read().view().keys(range, undefined, this.#pace);
  }

  /** Iterates over the records only, like `entries`. */
  values(range?: RangeOptions): StoreIterator<TableRecord> {
    return this.#read().view().values(range, undefined, this.#pace);
  }

  /** The lowest key of a range that has a record, or undefined. Throws like `entries`. */
  firstKey(range?: BoundOptions): bigint | undefined {
    return endKey(this.#read(), range, ALL_KEYS, 'first');
  }

  /** The highest key of a range that has a record, like `firstKey`. */
  lastKey(range?: BoundOptions): bigint | undefined {
    return endKey(this.#read(), range, ALL_KEYS, 'last');
  }

  [Symbol.iterator](): StoreIterator<[bigint, TableRecord]> {
    return this.entries();
  }

  /** Like `for await` over `entries()`. */
  [Symbol.asyncIterator](): AsyncIterator<[bigint, TableRecord], undefined> {
    return this.entries()[Symbol.asyncIterator]();
  }

  /**
   * Iterates over the keys and records whose value is in a range, in no particular order. Shows the
   * state at this call. Scans all values, in slices that do not block the event loop.
   * @throws TypeError or RangeError that names the option; AbortedError, StoreClosedError, at once
   *   or later
   */
  entriesByValue(range: ValueRangeOptions = {}): AsyncIterableIterator<[bigint, TableRecord]> {
    return entriesByValue(this.#read(), range, undefined, this.#source.hooks);
  }

  /**
   * Counts the records of a range of keys at this call, in slices that do not block the event loop.
   * It visits each unmerged update, but skips merged records in long stretches. `size` is the
   * number of all records.
   * @throws TypeError or RangeError that names the option; AbortedError, StoreClosedError; as
   *   rejections
   */
  async count(range: CountOptions = {}): Promise<number> {
    return countRecords(this.#read(), range, ALL_KEYS, this.#source.hooks);
  }

  /**
   * Computes a hash of all records at this call. It depends only on the records. Reads the updates
   * since the last known hash, or all records if none is known, for example after an open that
   * replayed logs. Runs in slices.
   * @throws StoreClosedError, AbortedError, TypeError; as rejections
   */
  async contentHash(options: ContentHashOptions = {}): Promise<ContentHash> {
    checkContentHashOptions(options);
    const { hooks, lastSequence } = this.#source;
    const { signal } = options;
    return computeContentHash(this.#read(), lastSequence(), { ...hooks, signal });
  }

  /**
   * The records at this call, for later reads. Release the snapshot: until then it keeps records in
   * memory that the store replaces or deletes. Closing the store releases it.
   * @throws StoreClosedError
   */
  snapshot(): StoreSnapshot {
    const { hooks, lastSequence } = this.#source;
    const view = this.#read().view();
    return this.snapshots.take({ view, lastSequence: lastSequence(), hooks });
  }

  /**
   * A view of the keys with a prefix, which takes and returns keys without the prefix. It costs
   * nothing, changes nothing on disk, and may overlap others. `WriteBatch.in` writes to several at
   * once.
   * @throws TypeError or RangeError that names the option
   */
  keyspace(options: KeyspaceOptions): Keyspace {
    return new Keyspace(this.#source, checkKeyspace(options), this);
  }

  abstract put(
    key: bigint | number,
    value: bigint | number,
    data?: Uint8Array,
    options?: InsertOptions & Condition,
  ): Promise<Inserted>;

  abstract delete(key: bigint | number, options?: InsertOptions & Condition): Promise<Inserted>;

  abstract deleteRange(range: BoundOptions, options?: InsertOptions): Promise<Inserted>;
}

showJson(ReadableStore.prototype);
