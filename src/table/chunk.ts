import { assert } from '../base/assert.ts';
import { joinU64, splitU64, u64Halves } from '../base/u64.ts';
import type { Columns } from '../format/columns.ts';
import { sliceColumns } from './chunk-slice.ts';
import { lowerBoundNarrow, lowerBoundWide } from './column-search.ts';
import type { TableRecord } from './table-record.ts';

/** One sorted run of records, as the decoders hand it over: adopted, neither copied nor walked. */
export class Chunk {
  readonly recordCount: number;
  readonly firstLow: number;
  readonly firstHigh: number;
  readonly lastLow: number;
  readonly lastHigh: number;
  readonly #columns: Columns;
  /** Records per key of the span, on average. */
  readonly #density: number;
  readonly #keyLow: Uint32Array;
  readonly #keyHigh: Uint32Array | null;
  readonly #valueBaseLow: number;
  readonly #valueBaseHigh: number;

  constructor(columns: Columns) {
    assert(columns.recordCount > 0, 'a chunk holds a record');
    this.#columns = columns;
    this.recordCount = columns.recordCount;
    splitU64(columns.firstKey, 'firstKey');
    this.firstLow = u64Halves[0]!;
    this.firstHigh = u64Halves[1]!;
    splitU64(columns.lastKey, 'lastKey');
    this.lastLow = u64Halves[0]!;
    this.lastHigh = u64Halves[1]!;
    splitU64(columns.valueBase, 'valueBase');
    this.#valueBaseLow = u64Halves[0]!;
    this.#valueBaseHigh = u64Halves[1]!;
    const span = Number(columns.lastKey - columns.firstKey);
    this.#density = span === 0 ? 0 : (columns.recordCount - 1) / span;
    this.#keyLow = columns.keyLow;
    this.#keyHigh = columns.keyHigh;
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

  keyLowAt(index: number): number {
    return (this.#keyLow[index]! + this.firstLow) >>> 0;
  }

  keyHighAt(index: number): number {
    const sum = this.#keyLow[index]! + this.firstLow;
    const high = this.firstHigh + (sum > 0xffff_ffff ? 1 : 0);
    return this.#keyHigh === null ? high : high + this.#keyHigh[index]!;
  }

  valueAt(index: number): bigint {
    const columns = this.#columns;
    const sum = columns.valueLow[index]! + this.#valueBaseLow;
    const high = this.#valueBaseHigh + (sum > 0xffff_ffff ? 1 : 0);
    return joinU64(sum, columns.valueHigh === null ? high : high + columns.valueHigh[index]!);
  }

  /** True where the value is 0: only among updates, never in a snapshot's chunk. */
  isDeleteAt(index: number): boolean {
    const columns = this.#columns;
    return (
      columns.valueLow[index] === 0 &&
      (columns.valueHigh === null || columns.valueHigh[index] === 0) &&
      this.#valueBaseLow === 0 &&
      this.#valueBaseHigh === 0
    );
  }

  /** A copy, so that no user can reach the store's own bytes. */
  dataAt(index: number): Uint8Array {
    const columns = this.#columns;
    if (columns.dataEnd === null) {
      const start = index * columns.dataLength;
      return columns.data.slice(start, start + columns.dataLength);
    }
    const start = index === 0 ? 0 : columns.dataEnd[index - 1]!;
    return columns.data.slice(start, columns.dataEnd[index]);
  }

  recordAt(index: number): TableRecord {
    return { value: this.valueAt(index), data: this.dataAt(index) };
  }

  /** A chunk of its own with copies of the records [from, to); at least one. */
  slice(from: number, to: number): Chunk {
    const firstKey = joinU64(this.keyLowAt(from), this.keyHighAt(from));
    const lastKey = joinU64(this.keyLowAt(to - 1), this.keyHighAt(to - 1));
    return new Chunk(sliceColumns(this.#columns, from, to, firstKey, lastKey));
  }

  #isKeyAt(index: number, low: number, high: number): boolean {
    return this.keyLowAt(index) === low && this.keyHighAt(index) === high;
  }
}
