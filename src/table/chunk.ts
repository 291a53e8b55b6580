import { copyData } from './data-copy.ts';
import { assert } from '../base/assert.ts';
import { joinU64, splitU64, u64Halves } from '../base/u64.ts';
import { viewOf } from '../base/bytes.ts';
import type { Columns } from '../format/columns.ts';
import { sumOfColumns } from '../format/columns-sum.ts';
import type { ContentSum } from '../format/content-sum.ts';
import { sliceColumns } from './chunk-slice.ts';
import { lowerBoundNarrow, lowerBoundWide } from './column-search.ts';
import type { TableRecord } from './table-record.ts';
import { findValues, type ValueRange } from './value-search.ts';

// Read by nobody: keeps an early read from being optimised away.
const earlyBytes = new Uint8Array(1);

const NEAR_RECORDS = 32;
const SHORT_BYTES = 128;

/**
 * One sorted run of records, as the decoders hand it over: adopted, neither copied nor walked. The halves of
 * its constants are kept as signed integers: the engine puts those, unlike larger numbers, into the
 * object itself, and a read of a large table is paid for in cache misses.
 */
export class Chunk {
  readonly recordCount: number;
  readonly #firstLow: number;
  readonly #firstHigh: number;
  readonly #lastLow: number;
  readonly #lastHigh: number;
  readonly #keyLow: Uint32Array;
  readonly #keyHigh: Uint32Array | null;
  /** Records per key of the span, on average. */
  readonly #density: number;
  readonly #valueBaseLow: number;
  readonly #valueBaseHigh: number;
  readonly #valueLow: Uint32Array;
  readonly #valueHigh: Uint32Array | null;
  readonly #dataLength: number;
  readonly #dataEnd: Uint32Array | null;
  readonly #data: Uint8Array;
  readonly #columns: Columns;
  /** Of the data; made when a record is first hashed. */
  #dataView: DataView | undefined;

  constructor(columns: Columns) {
    assert(columns.recordCount > 0, 'a chunk holds a record');
    this.recordCount = columns.recordCount;
    splitU64(columns.firstKey, 'firstKey');
    this.#firstLow = u64Halves[0]! | 0;
    this.#firstHigh = u64Halves[1]! | 0;
    splitU64(columns.lastKey, 'lastKey');
    this.#lastLow = u64Halves[0]! | 0;
    this.#lastHigh = u64Halves[1]! | 0;
    this.#keyLow = columns.keyLow;
    this.#keyHigh = columns.keyHigh;
    const span = Number(columns.lastKey - columns.firstKey);
    this.#density = span === 0 ? 0 : (columns.recordCount - 1) / span;
    splitU64(columns.valueBase, 'valueBase');
    this.#valueBaseLow = u64Halves[0]! | 0;
    this.#valueBaseHigh = u64Halves[1]! | 0;
    this.#valueLow = columns.valueLow;
    this.#valueHigh = columns.valueHigh;
    this.#dataLength = columns.dataLength;
    this.#dataEnd = columns.dataEnd;
    this.#data = columns.data;
    this.#columns = columns;
  }

  get firstLow(): number {
    return this.#firstLow >>> 0;
  }

  get firstHigh(): number {
    return this.#firstHigh >>> 0;
  }

  get lastLow(): number {
    return this.#lastLow >>> 0;
  }

  get lastHigh(): number {
    return this.#lastHigh >>> 0;
  }

  /** Bytes of the columns. */
  get memoryBytes(): number {
    const columns = this.#columns;
    const wide = Number(columns.keyHigh !== null) + Number(columns.valueHigh !== null);
    const words = 2 + wide + Number(columns.dataEnd !== null);
    return words * 4 * columns.recordCount + columns.data.length;
  }

  /** Index of the record with this key, or -1. */
  find(low: number, high: number): number {
    const index = this.lowerBound(low, high);
    return index < this.recordCount && this.#isKeyAt(index, low, high) ? index : -1;
  }

  /** Index of the first record whose key is not below this one; `recordCount` when there is none. */
  lowerBound(low: number, high: number): number {
    if (high < this.firstHigh || (high === this.firstHigh && low <= this.firstLow)) return 0;
    if (high > this.lastHigh || (high === this.lastHigh && low > this.lastLow)) {
      return this.recordCount;
    }
    const offsetLow = (low - this.firstLow) >>> 0;
    const keyHigh = this.#keyHigh;
    if (keyHigh === null)
      return lowerBoundNarrow(this.#keyLow, this.recordCount, offsetLow, this.#density);
    const offsetHigh = high - this.firstHigh - (low < this.firstLow ? 1 : 0);
    return lowerBoundWide(
      this.#keyLow,
      keyHigh,
      this.recordCount,
      offsetLow,
      offsetHigh,
      this.#density,
    );
  }

  /** As {@link lowerBound}, of the records from `from` on: that it is near is tried first. */
  lowerBoundFrom(from: number, low: number, high: number): number {
    const near = Math.min(from + NEAR_RECORDS, this.recordCount);
    for (let i = from; i < near; i++) {
      const keyHigh = this.keyHighAt(i);
      if (keyHigh > high || (keyHigh === high && this.keyLowAt(i) >= low)) return i;
    }
    return Math.max(near, this.lowerBound(low, high));
  }

  keyLowAt(index: number): number {
    return (this.#keyLow[index]! + this.firstLow) >>> 0;
  }

  keyHighAt(index: number): number {
    const sum = this.#keyLow[index]! + this.firstLow;
    const high = this.firstHigh + (sum > 0xffff_ffff ? 1 : 0);
    return this.#keyHigh === null ? high : high + this.#keyHigh[index]!;
  }

  valueAt(index: number): bigint {
    const valueHigh = this.#valueHigh;
    return this.#joinValue(this.#valueLow[index]!, valueHigh === null ? 0 : valueHigh[index]!);
  }

  keyAt(index: number): bigint {
    const sum = this.#keyLow[index]! + this.firstLow;
    const keyHigh = this.#keyHigh;
    const high = this.firstHigh + (sum > 0xffff_ffff ? 1 : 0);
    return joinU64(sum, keyHigh === null ? high : high + keyHigh[index]!);
  }

  /** False where no value is 0, as in a snapshot's chunk. */
  get mayDelete(): boolean {
    return this.#valueBaseLow === 0 && this.#valueBaseHigh === 0;
  }

  /** Where the data of the record at `index` begins: with an index of `recordCount`, where all data end. */
  dataStartAt(index: number): number {
    return this.#dataStart(index);
  }

  /** Copies the data's bytes [from, to) to `offset` of `target`. */
  copyData(target: Uint8Array, offset: number, from: number, to: number): void {
    const data = this.#data;
    // A view costs more than a short copy.
    if (to - from > SHORT_BYTES) target.set(data.subarray(from, to), offset);
    else for (let i = from; i < to; i++) target[offset + i - from] = data[i]!;
  }

  /** True where the value is 0: only among updates, never in a snapshot's chunk. */
  isDeleteAt(index: number): boolean {
    return (
      this.#valueLow[index] === 0 &&
      (this.#valueHigh === null || this.#valueHigh[index] === 0) &&
      this.#valueBaseLow === 0 &&
      this.#valueBaseHigh === 0
    );
  }

  /** The data is a copy, so that no user can reach the store's own bytes. */
  recordAt(index: number): TableRecord {
    const value = this.valueAt(index);
    return {
      value,
      data: copyData(this.#data, this.#dataStart(index), this.#dataStart(index + 1)),
    };
  }

  /** The record with this key, if there is one, as {@link recordAt}. */
  recordOf(low: number, high: number): TableRecord | undefined {
    const index = this.lowerBound(low, high);
    if (index === this.recordCount) return undefined;
    const start = this.#dataStart(index);
    const end = this.#dataStart(index + 1);
    // Each of these reads is likely to miss the caches: begun together, they are waited for only once.
    const valueLow = this.#valueLow[index]!;
    const valueHigh = this.#valueHigh === null ? 0 : this.#valueHigh[index]!;
    if (end > start) earlyBytes[0] = this.#data[start]!;
    if (!this.#isKeyAt(index, low, high)) return undefined;
    return { value: this.#joinValue(valueLow, valueHigh), data: copyData(this.#data, start, end) };
  }

  /** Writes the indexes of the records with a value in the range to `indexes`; returns how many there are. */
  findValues(range: ValueRange, indexes: Uint32Array): number {
    const { valueBase, valueLow, valueHigh } = this.#columns;
    return findValues(range, valueBase, valueLow, valueHigh, indexes);
  }

  /** Adds all records, none of which is a delete. */
  addAllTo(sum: ContentSum): void {
    sum.add(sumOfColumns(this.#columns));
  }

  /** Adds the record at `index`, which is no delete. */
  addTo(sum: ContentSum, index: number): void {
    const value = (this.#valueBaseLow >>> 0) + this.#valueLow[index]!;
    sum.addRecord(
      this.keyLowAt(index) | 0,
      this.keyHighAt(index) | 0,
      value | 0,
      this.#valueHighAt(index, value) | 0,
      (this.#dataView ??= viewOf(this.#data)),
      this.#dataStart(index),
      this.#dataStart(index + 1),
    );
  }

  /** Subtracts the record at `index`, which is no delete. */
  subtractFrom(sum: ContentSum, index: number): void {
    const value = (this.#valueBaseLow >>> 0) + this.#valueLow[index]!;
    sum.subtractRecord(
      this.keyLowAt(index) | 0,
      this.keyHighAt(index) | 0,
      value | 0,
      this.#valueHighAt(index, value) | 0,
      (this.#dataView ??= viewOf(this.#data)),
      this.#dataStart(index),
      this.#dataStart(index + 1),
    );
  }

  /** `lowSum` is the low half before the carry is cut off. */
  #valueHighAt(index: number, lowSum: number): number {
    const offsetHigh = this.#valueHigh === null ? 0 : this.#valueHigh[index]!;
    return this.#valueBaseHigh + offsetHigh + (lowSum > 0xffff_ffff ? 1 : 0);
  }

  /** A chunk of its own with copies of the records [from, to); at least one. */
  slice(from: number, to: number): Chunk {
    const firstKey = joinU64(this.keyLowAt(from), this.keyHighAt(from));
    const lastKey = joinU64(this.keyLowAt(to - 1), this.keyHighAt(to - 1));
    return new Chunk(sliceColumns(this.#columns, from, to, firstKey, lastKey));
  }

  #joinValue(offsetLow: number, offsetHigh: number): bigint {
    const sum = offsetLow + (this.#valueBaseLow >>> 0);
    return joinU64(sum, this.#valueBaseHigh + offsetHigh + (sum > 0xffff_ffff ? 1 : 0));
  }

  #dataStart(index: number): number {
    const dataEnd = this.#dataEnd;
    if (dataEnd === null) return index * this.#dataLength;
    return index === 0 ? 0 : dataEnd[index - 1]!;
  }

  #isKeyAt(index: number, low: number, high: number): boolean {
    return this.keyLowAt(index) === low && this.keyHighAt(index) === high;
  }
}
