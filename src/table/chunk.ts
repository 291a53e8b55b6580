import { copyData, copyWords, LONGEST_IN_WORDS } from './data-copy.ts';
import { assert } from '../base/assert.ts';
import { joinU64, splitU64, u64Halves } from '../base/u64.ts';
import { viewOf } from '../base/bytes.ts';
import type { Columns } from '../format/columns.ts';
import { sumOfColumns } from '../format/columns-sum.ts';
import type { ContentSum } from '../format/content-sum.ts';
import { sliceColumns } from './chunk-slice.ts';
import { settleNarrow, settleWide } from './column-search.ts';
import { makeSlots, SLOTS_PER_RECORD, type Slots } from './key-slots.ts';
import type { TableRecord } from './table-record.ts';
import { findValues, type ValueRange } from './value-search.ts';

/** Fewer are found in a few cache lines anyway. */
const INDEXED_RECORDS = 256;
/** Slots pay off after about as many. */
const SEARCHES_UNTIL_INDEXED = 64;
/** In the place of a column that there is none of. */
const NO_COLUMN = -1;

const NEAR_RECORDS = 32;
const SHORT_BYTES = 128;

/**
 * One sorted run of records, as the decoders hand it over: adopted, neither copied nor walked. The halves of
 * its constants are kept as signed integers: the engine puts those, unlike larger numbers, into the
 * object itself, and a read of a large table is paid for in cache misses.
 */
export class Chunk {
  readonly recordCount: number;
  /** The buffer of all columns, and where in it each begins: a get reads few other objects. */
  readonly #words: Uint32Array;
  readonly #firstLow: number;
  readonly #firstHigh: number;
  /** Records per key of the span, on average. */
  readonly #density: number;
  #slots: Slots | undefined;
  /** Searches until slots are made; 0 when that has been done, or need not be. */
  #searchesLeft: number;
  readonly #keyLowAt: number;
  readonly #keyHighAt: number;
  readonly #valueLowAt: number;
  readonly #valueHighAt: number;
  readonly #valueBaseLow: number;
  readonly #valueBaseHigh: number;
  /** Where the data begin, if each is a number of whole words. */
  readonly #dataAt: number;
  readonly #dataLength: number;
  readonly #lastLow: number;
  readonly #lastHigh: number;
  readonly #keyLow: Uint32Array;
  readonly #keyHigh: Uint32Array | null;
  readonly #valueLow: Uint32Array;
  readonly #valueHigh: Uint32Array | null;
  readonly #dataEnd: Uint32Array | null;
  readonly #data: Uint8Array;
  readonly #columns: Columns;
  /** Of the data; made when a record is first hashed. */
  #dataView: DataView | undefined;

  constructor(columns: Columns) {
    assert(columns.recordCount > 0, 'a chunk holds a record');
    const { keyLow, keyHigh, valueLow, valueHigh, data, dataLength } = columns;
    this.recordCount = columns.recordCount;
    this.#words = wordsOf(columns);
    splitU64(columns.firstKey, 'firstKey');
    this.#firstLow = u64Halves[0]! | 0;
    this.#firstHigh = u64Halves[1]! | 0;
    const span = Number(columns.lastKey - columns.firstKey);
    this.#density = span === 0 ? 0 : (columns.recordCount - 1) / span;
    this.#slots = undefined;
    this.#searchesLeft = columns.recordCount < INDEXED_RECORDS ? -1 : SEARCHES_UNTIL_INDEXED;
    this.#keyLowAt = wordOffset(keyLow);
    this.#keyHighAt = keyHigh === null ? NO_COLUMN : wordOffset(keyHigh);
    this.#valueLowAt = wordOffset(valueLow);
    this.#valueHighAt = valueHigh === null ? NO_COLUMN : wordOffset(valueHigh);
    splitU64(columns.valueBase, 'valueBase');
    this.#valueBaseLow = u64Halves[0]! | 0;
    this.#valueBaseHigh = u64Halves[1]! | 0;
    const hasWords = dataLength >= 0 && dataLength % 4 === 0 && dataLength <= LONGEST_IN_WORDS;
    this.#dataAt = hasWords ? wordOffset(data) : NO_COLUMN;
    this.#dataLength = dataLength;
    splitU64(columns.lastKey, 'lastKey');
    this.#lastLow = u64Halves[0]! | 0;
    this.#lastHigh = u64Halves[1]! | 0;
    this.#keyLow = keyLow;
    this.#keyHigh = keyHigh;
    this.#valueLow = valueLow;
    this.#valueHigh = valueHigh;
    this.#dataEnd = columns.dataEnd;
    this.#data = data;
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
    const borrow = low < this.firstLow ? 1 : 0;
    return this.#search((low - this.firstLow) >>> 0, high - this.firstHigh - borrow);
  }

  /** Index of the first record whose key, less the first one, is not below; `recordCount` when there is none. */
  #search(offsetLow: number, offsetHigh: number): number {
    const words = this.#words;
    const count = this.recordCount;
    const position = Math.min((offsetHigh * 0x1_0000_0000 + offsetLow) * this.#density, count - 1);
    const slots = this.#slots;
    let guess = position | 0;
    if (slots !== undefined) {
      const place = position * SLOTS_PER_RECORD;
      const slot = place | 0;
      const start = slots[slot]!;
      guess = (start + (place - slot) * (slots[slot + 1]! - start)) | 0;
    } else if (this.#searchesLeft !== 0) {
      guess = this.#refine(guess, offsetLow, offsetHigh);
    }
    const lowAt = this.#keyLowAt;
    const highAt = this.#keyHighAt;
    if (highAt !== NO_COLUMN)
      return settleWide(words, lowAt, highAt, count, guess, offsetLow, offsetHigh);
    return offsetHigh > 0 ? count : settleNarrow(words, lowAt, count, guess, offsetLow);
  }

  /** A better guess, from the key that the first one leads to. */
  #refine(guess: number, offsetLow: number, offsetHigh: number): number {
    const words = this.#words;
    const lowAt = this.#keyLowAt;
    const highAt = this.#keyHighAt;
    const count = this.recordCount;
    const density = this.#density;
    if (--this.#searchesLeft === 0)
      this.#slots = makeSlots(words, lowAt, highAt, count, density);
    const last = count - 1;
    const keyHigh = this.#keyHigh;
    const key =
      keyHigh === null ? this.#keyLow[guess]! : keyHigh[guess]! * 0x1_0000_0000 + this.#keyLow[guess]!;
    const refined = guess + (offsetHigh * 0x1_0000_0000 + offsetLow - key) * density;
    return Math.max(0, Math.min(refined, last)) | 0;
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
    const words = this.#words;
    const highAt = this.#valueHighAt;
    const value = this.#joinValue(
      words[this.#valueLowAt + index]!,
      highAt === NO_COLUMN ? 0 : words[highAt + index]!,
    );
    const dataAt = this.#dataAt;
    if (dataAt === NO_COLUMN) {
      const data = copyData(this.#data, this.#dataStart(index), this.#dataStart(index + 1));
      return { value, data };
    }
    const wordCount = this.#dataLength >>> 2;
    return { value, data: copyWords(words, dataAt + wordCount * index, wordCount) };
  }

  /** The record with this key, if there is one, as {@link recordAt}. */
  recordOf(low: number, high: number): TableRecord | undefined {
    const firstLow = this.firstLow;
    const offsetLow = (low - firstLow) >>> 0;
    const offsetHigh = high - this.firstHigh - (low < firstLow ? 1 : 0);
    if (offsetHigh < 0) return undefined;
    const index = this.#search(offsetLow, offsetHigh);
    if (index === this.recordCount) return undefined;
    const highAt = this.#keyHighAt;
    if (this.#words[this.#keyLowAt + index] !== offsetLow) return undefined;
    if (highAt !== NO_COLUMN && this.#words[highAt + index] !== offsetHigh) return undefined;
    return this.recordAt(index);
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
      this.#highOfValue(index, value) | 0,
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
      this.#highOfValue(index, value) | 0,
      (this.#dataView ??= viewOf(this.#data)),
      this.#dataStart(index),
      this.#dataStart(index + 1),
    );
  }

  /** `lowSum` is the low half before the carry is cut off. */
  #highOfValue(index: number, lowSum: number): number {
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

function wordsOf({ keyLow, valueLow, data }: Columns): Uint32Array {
  const { buffer } = data;
  assert(keyLow.buffer === buffer && valueLow.buffer === buffer, 'columns lie in one buffer');
  return new Uint32Array(buffer, 0, buffer.byteLength >>> 2);
}

function wordOffset(column: ArrayBufferView): number {
  return column.byteOffset >>> 2;
}
