import { ALL_KEYS, type KeyPrefix } from '../table/layer/key-prefix.ts';
import type { BoundOptions, RangeOptions } from '../table/layer/key-range.ts';
import type { TableRecord } from '../table/layer/table-record.ts';
import type { Pace } from '../table/scan/pace.ts';
import type { StoreIterator } from '../table/scan/record-iterator.ts';
import type { Records } from '../table/view.ts';
import { countRecords, type CountOptions } from './count.ts';
import { contentHashOf, type ContentHash, type ContentHashOptions } from './content-hash.ts';
import { getInto, getMany, hasMany, lookUp, valueOf } from './point-reads.ts';
import type { GetManyOptions, ManyRecords } from './point-reads.ts';
import { endKey, ITERATING } from './key-reads.ts';
import { Slices, type SliceHooks } from './slices.ts';
import { entriesByValue, type ValueRangeOptions } from './value-entries.ts';
import { u64Halves } from '../base/u64.ts';

/** The source of reads. */
export interface ReadSource {
  /** Returns the current records. Throws StoreClosedError. */
  readonly records: () => Records;
  /** Sequence number of the last batch in the records. */
  readonly lastSequence: () => bigint;
  readonly hooks: Omit<SliceHooks, 'signal'>;
}

/** Reads of the records with a prefix. Takes and returns keys without the prefix. */
export abstract class RecordReads {
  readonly #source: ReadSource;
  readonly #keys: KeyPrefix;
  /** The pace of `for await`. */
  readonly #pace: () => Pace;

  protected constructor(source: ReadSource, keys: KeyPrefix = ALL_KEYS) {
    this.#source = source;
    this.#keys = keys;
    this.#pace = () => new Slices(ITERATING, { ...source.hooks, signal: undefined });
  }

  /**
   * Returns the record of `key`, or undefined; `data` is a copy.
   *
   * @throws TypeError or RangeError for a key that is not a u64 or has too many bits;
   *   StoreClosedError
   */
  get(key: bigint | number): TableRecord | undefined {
    return lookUp(this.#source.records(), key, this.#keys);
  }

  /** Whether `key` has a record. Throws like `get`. */
  has(key: bigint | number): boolean {
    const records = this.#source.records();
    this.#keys.split(key);
    return records.isPresent(u64Halves[0]!, u64Halves[1]!);
  }

  /** Returns the value of `key` without its data, or undefined. Throws like `get`. */
  valueOf(key: bigint | number): bigint | undefined {
    return valueOf(this.#source.records(), key, this.#keys);
  }

  /** Like `MetadataStore.getInto`. Throws like it, and like `get`. */
  getInto(key: bigint | number, target: Uint8Array, offset = 0): number | undefined {
    return getInto(this.#source.records(), key, this.#keys, target, offset);
  }

  /** Like `MetadataStore.getMany`. Throws like it, and like `get`. */
  getMany(keys: BigUint64Array, options?: GetManyOptions & { data?: false }): BigUint64Array;
  getMany(keys: BigUint64Array, options: GetManyOptions & { data: true }): ManyRecords;
  getMany(keys: BigUint64Array, options: GetManyOptions = {}): BigUint64Array | ManyRecords {
    return getMany(this.#source.records(), keys, this.#keys, options);
  }

  /** Returns 1 for each key with a record and 0 for each without one. Throws like `getMany`. */
  hasMany(keys: BigUint64Array): Uint8Array {
    return hasMany(this.#source.records(), keys, this.#keys);
  }

  /** Like `MetadataStore.entries`. Throws RangeError for bounds with too many bits. */
  entries(range?: RangeOptions): StoreIterator<[bigint, TableRecord]> {
    return this.#source.records().view().entries(range, this.#keys, this.#pace);
  }

  /** Iterates over the keys only, like `entries`. */
  keys(range?: RangeOptions): StoreIterator<bigint> {
    return this.#source.records().view().keys(range, this.#keys, this.#pace);
  }

  /** Iterates over the records only, like `entries`. */
  values(range?: RangeOptions): StoreIterator<TableRecord> {
    return this.#source.records().view().values(range, this.#keys, this.#pace);
  }

  /** The lowest key of a range that has a record, or undefined. Throws like `entries`. */
  firstKey(range?: BoundOptions): bigint | undefined {
    return endKey(this.#source.records(), range, this.#keys, 'first');
  }

  /** The highest key of a range that has a record, like `firstKey`. */
  lastKey(range?: BoundOptions): bigint | undefined {
    return endKey(this.#source.records(), range, this.#keys, 'last');
  }

  [Symbol.iterator](): StoreIterator<[bigint, TableRecord]> {
    return this.entries();
  }

  [Symbol.asyncIterator](): AsyncIterator<[bigint, TableRecord], undefined> {
    return this.entries()[Symbol.asyncIterator]();
  }

  /** Like `MetadataStore.entriesByValue`, for these records only. */
  entriesByValue(range: ValueRangeOptions = {}): AsyncIterableIterator<[bigint, TableRecord]> {
    const { records, hooks } = this.#source;
    return entriesByValue(records(), range, this.#keys, hooks);
  }

  /** Like `MetadataStore.count`. Throws RangeError for bounds with too many bits. */
  async count(range: CountOptions = {}): Promise<number> {
    const { records, hooks } = this.#source;
    return countRecords(records(), range, this.#keys, hooks);
  }

  /**
   * Like `MetadataStore.contentHash`, for these records only, with their full keys. Reads all of
   * them.
   */
  async contentHash(options: ContentHashOptions = {}): Promise<ContentHash> {
    const { records, hooks, lastSequence } = this.#source;
    return contentHashOf(records(), lastSequence(), this.#keys, options, hooks);
  }
}
