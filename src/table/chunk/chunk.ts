import { copyData, copyWords, LONGEST_IN_WORDS } from '../layer/data-copy.ts';
import { assert } from '../../base/assert.ts';
import { joinU64, splitU64, u64Halves } from '../../base/u64.ts';
import type { Columns } from '../../format/columns.ts';
import { sumOfColumns } from '../../format/columns-sum.ts';
import type { ContentSum, Sign } from '../../format/content-sum.ts';
import { gatherData, rearrange, restore, rowWordsOf } from './chunk-rows.ts';
import { sliceColumns } from './chunk-slice.ts';
import { settleNarrow, settleWide, type KeyPlaces } from './column-search.ts';
import { makeSlots, searchesUntilSlots, SLOTS_PER_RECORD, type Slots } from './key-slots.ts';
import { wordOffset, wordsOf, type KeyColumns } from './key-columns.ts';
import { StoredRecord, type TableRecord } from '../layer/table-record.ts';
import { NO_RECORD, UNKNOWN_KEY, type DataLength } from '../layer/update-layer.ts';
import { findValues, type ValueRange } from '../layer/value-search.ts';

/** A smaller chunk spans few cache lines, so an index does not help. */
const INDEXED_RECORDS = 256;
/** Number of gets after which rows pay off. Rearranging takes about a tenth of a millisecond. */
const GETS_UNTIL_ROWS = 256;
/** Stands for a missing column. */
const NO_COLUMN = -1;

/** `adopted`: the chunk owns the columns and may modify them. */
export type ColumnOwnership = 'adopted' | 'borrowed';

const SHORT_BYTES = 128;

/**
 * A sorted run of records, as columns from a decoder, which are adopted without a copy or a scan.
 * The int32 halves of its constants stay Smis, so a read needs no heap-number dereference. In a
 * large table the cost of a read is its cache misses.
 */
export class Chunk {
  readonly recordCount: number;
  /** The buffer of all columns, accessed by offsets, so that a get touches few other objects. */
  readonly #words: Uint32Array;
  readonly #firstLow: number;
  readonly #firstHigh: number;
  /** Mean number of records per key of the span. */
  readonly #density: number;
  #slots: Slots | undefined;
  /** Searches until slots are made. 0: they are made, or useless. Negative: never. */
  #searchesLeft: number;
  /** Gets until the columns are rearranged as rows. 0: they are, or cannot be. */
  #getsLeft: number;
  /** Words between consecutive numbers of a column. 1 until the columns are rearranged. */
  #stride = 1;
  #keyLowAt: number;
  #keyHighAt: number;
  #valueLowAt: number;
  #valueHighAt: number;
  readonly #valueBaseLow: number;
  readonly #valueBaseHigh: number;
  /** Offset and stride of the data in words, if each record's data is a whole number of words. */
  #dataAt: number;
  #dataStride: number;
  readonly #dataLength: number;
  readonly #lastLow: number;
  readonly #lastHigh: number;
  readonly #dataEnd: Uint32Array | null;
  readonly #columns: Columns;
  /** View of the whole buffer, created when a record is first hashed. */
  #view: DataView | undefined;

  constructor(columns: Columns, ownership: ColumnOwnership = 'borrowed') {
    assert(columns.recordCount > 0, 'a chunk holds a record');
    const { keyHigh, valueHigh, dataLength } = columns;
    this.recordCount = columns.recordCount;
    this.#words = wordsOf(columns);
    splitU64(columns.firstKey, 'firstKey');
    this.#firstLow = u64Halves[0]! | 0;
    this.#firstHigh = u64Halves[1]! | 0;
    const span = Number(columns.lastKey - columns.firstKey);
    this.#density = span === 0 ? 0 : (columns.recordCount - 1) / span;
    this.#slots = undefined;
    const isShort = columns.recordCount < INDEXED_RECORDS;
    this.#searchesLeft = isShort ? -1 : searchesUntilSlots();
    const mayRearrange = ownership === 'adopted' && !isShort && rowWordsOf(columns) > 0;
    this.#getsLeft = mayRearrange ? GETS_UNTIL_ROWS : 0;
    this.#keyLowAt = wordOffset(columns.keyLow);
    this.#keyHighAt = keyHigh === null ? NO_COLUMN : wordOffset(keyHigh);
    this.#valueLowAt = wordOffset(columns.valueLow);
    this.#valueHighAt = valueHigh === null ? NO_COLUMN : wordOffset(valueHigh);
    splitU64(columns.valueBase, 'valueBase');
    this.#valueBaseLow = u64Halves[0]! | 0;
    this.#valueBaseHigh = u64Halves[1]! | 0;
    const hasWords = dataLength >= 0 && dataLength % 4 === 0 && dataLength <= LONGEST_IN_WORDS;
    this.#dataAt = hasWords ? wordOffset(columns.data) : NO_COLUMN;
    this.#dataStride = dataLength >>> 2;
    this.#dataLength = dataLength;
    splitU64(columns.lastKey, 'lastKey');
    this.#lastLow = u64Halves[0]! | 0;
    this.#lastHigh = u64Halves[1]! | 0;
    this.#dataEnd = columns.dataEnd;
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

  /** Locations of the keys. Available until the chunk is rearranged. */
  get keyColumns(): KeyColumns {
    const { recordCount, firstLow, firstHigh, lastLow, lastHigh } = this;
    assert(this.#stride === 1, 'the chunk has not been rearranged');
    const columns = { words: this.#words, lowAt: this.#keyLowAt, highAt: this.#keyHighAt };
    return { recordCount, firstLow, firstHigh, lastLow, lastHigh, ...columns };
  }

  /** Index of the record with this key, or -1. */
  find(low: number, high: number): number {
    const index = this.lowerBound(low, high);
    return index < this.recordCount && this.#isKeyAt(index, low, high) ? index : -1;
  }

  /** Index of the first record whose key is not below this one; `recordCount` if there is none. */
  lowerBound(low: number, high: number): number {
    if (high < this.firstHigh || (high === this.firstHigh && low <= this.firstLow)) return 0;
    if (high > this.lastHigh || (high === this.lastHigh && low > this.lastLow)) {
      return this.recordCount;
    }
    const borrow = low < this.firstLow ? 1 : 0;
    return this.#search((low - this.firstLow) >>> 0, high - this.firstHigh - borrow);
  }

  /** Like {@link lowerBound}, for the key minus the first key. */
  #search(offsetLow: number, offsetHigh: number): number {
    const offset = offsetHigh * 0x1_0000_0000 + offsetLow;
    const position = Math.min(offset * this.#density, this.recordCount - 1);
    const slots = this.#slots;
    let guess = (position + 0.5) | 0;
    if (slots !== undefined) {
      const place = position * SLOTS_PER_RECORD;
      const slot = place | 0;
      const start = slots[slot]!;
      guess = (start + (place - slot) * (slots[slot + 1]! - start)) | 0;
      // For the last key, rounding can yield the number of records, one past the last index.
      if (guess === this.recordCount) guess--;
    } else if (this.#searchesLeft !== 0) {
      guess = this.#refine(guess, offsetLow, offsetHigh);
    }
    return this.#settle(guess, offsetLow, offsetHigh);
  }

  #settle(guess: number, offsetLow: number, offsetHigh: number): number {
    const words = this.#words;
    const stride = this.#stride;
    const count = this.recordCount;
    const lowAt = this.#keyLowAt;
    const highAt = this.#keyHighAt;
    if (highAt !== NO_COLUMN)
      return settleWide(words, lowAt, highAt, stride, count, guess, offsetLow, offsetHigh);
    return offsetHigh > 0 ? count : settleNarrow(words, lowAt, stride, count, guess, offsetLow);
  }

  /** Improves a guess, with the key found at that index. */
  #refine(guess: number, offsetLow: number, offsetHigh: number): number {
    if (this.#searchesLeft > 0 && --this.#searchesLeft === 0) {
      this.#slots = makeSlots(this.#keyPlaces, this.#density);
    }
    const found = this.#offsetHighAt(guess) * 0x1_0000_0000 + this.#offsetLowAt(guess);
    const distance = offsetHigh * 0x1_0000_0000 + offsetLow - found;
    const refined = guess + distance * this.#density;
    return Math.max(0, Math.min(refined, this.recordCount - 1)) | 0;
  }

  get #keyPlaces(): KeyPlaces {
    return {
      words: this.#words,
      count: this.recordCount,
      stride: this.#stride,
      lowAt: this.#keyLowAt,
      highAt: this.#keyHighAt,
    };
  }

  /** Like {@link lowerBound}, for a key near and after index `from`, at or above the first key. */
  lowerBoundFrom(from: number, low: number, high: number): number {
    const borrow = low < this.firstLow ? 1 : 0;
    const offsetHigh = high - this.firstHigh - borrow;
    return Math.max(from, this.#settle(from, (low - this.firstLow) >>> 0, offsetHigh));
  }

  keyLowAt(index: number): number {
    return (this.#offsetLowAt(index) + this.firstLow) >>> 0;
  }

  keyHighAt(index: number): number {
    const sum = this.#offsetLowAt(index) + this.firstLow;
    return this.firstHigh + (sum > 0xffff_ffff ? 1 : 0) + this.#offsetHighAt(index);
  }

  valueAt(index: number): bigint {
    const sum = this.#words[this.#valueLowAt + index * this.#stride]! + (this.#valueBaseLow >>> 0);
    return joinU64(sum, this.#highOfValue(index, sum));
  }

  keyAt(index: number): bigint {
    const sum = this.#offsetLowAt(index) + this.firstLow;
    const high = this.firstHigh + (sum > 0xffff_ffff ? 1 : 0);
    return joinU64(sum, high + this.#offsetHighAt(index));
  }

  /** False if no value is 0, as in a snapshot's chunk. */
  get mayDelete(): boolean {
    return this.#valueBaseLow === 0 && this.#valueBaseHigh === 0;
  }

  /** Copies the data bytes [from, to) to `offset` of `target`. */
  copyData(target: Uint8Array, offset: number, from: number, to: number): void {
    if (this.#stride > 1) return gatherData(this.#columns, target, offset, from, to);
    const { data } = this.#columns;
    // For short data, a loop is cheaper than a subarray and `set`.
    if (to - from > SHORT_BYTES) target.set(data.subarray(from, to), offset);
    else for (let i = from; i < to; i++) target[offset + i - from] = data[i]!;
  }

  /** Whether the value is 0. This occurs only in updates, never in a snapshot's chunk. */
  isDeleteAt(index: number): boolean {
    return (
      this.#valueBaseLow === 0 &&
      this.#valueBaseHigh === 0 &&
      this.#words[this.#valueLowAt + index * this.#stride] === 0 &&
      this.#offsetAt(this.#valueHighAt, index) === 0
    );
  }

  /** The data is a copy, so that callers cannot modify the store's memory. */
  recordAt(index: number): TableRecord {
    const value = this.valueAt(index);
    const dataAt = this.#dataAt;
    if (dataAt === NO_COLUMN) {
      const { data } = this.#columns;
      const end = this.dataStartAt(index + 1);
      return new StoredRecord(value, copyData(data, this.dataStartAt(index), end));
    }
    const from = dataAt + index * this.#dataStride;
    return new StoredRecord(value, copyWords(this.#words, from, this.#dataLength >>> 2));
  }

  /** The record with this key, if there is one. See {@link recordAt}. */
  recordOf(low: number, high: number): TableRecord | undefined {
    const index = this.#indexOf(low, high);
    return index < 0 ? undefined : this.recordAt(index);
  }

  /** Writes the value of this key to two words of `target`. Returns false if there is no record. */
  readValue(low: number, high: number, target: Uint32Array, at: number): boolean {
    const index = this.#indexOf(low, high);
    if (index < 0) return false;
    const sum = this.#words[this.#valueLowAt + index * this.#stride]! + (this.#valueBaseLow >>> 0);
    target[at] = sum;
    target[at + 1] = this.#highOfValue(index, sum);
    return true;
  }

  /** Like `UpdateLayer.readData`, for one chunk. */
  readData(low: number, high: number, target: Uint8Array, offset: number): DataLength {
    const index = this.#indexOf(low, high);
    if (index < 0 || this.isDeleteAt(index)) return index < 0 ? UNKNOWN_KEY : NO_RECORD;
    const [from, to] = [this.dataStartAt(index), this.dataStartAt(index + 1)];
    if (to - from <= target.length - offset) this.copyData(target, offset, from, to);
    return to - from;
  }

  /** Like {@link find}, for gets: after a number of gets, rearranges the records as rows. */
  #indexOf(low: number, high: number): number {
    const firstLow = this.firstLow;
    const offsetLow = (low - firstLow) >>> 0;
    const offsetHigh = high - this.firstHigh - (low < firstLow ? 1 : 0);
    if (offsetHigh < 0) return -1;
    if (this.#getsLeft !== 0 && --this.#getsLeft === 0) this.#rearrange();
    const index = this.#search(offsetLow, offsetHigh);
    if (index === this.recordCount || this.#offsetLowAt(index) !== offsetLow) return -1;
    return this.#offsetHighAt(index) === offsetHigh ? index : -1;
  }

  /** Writes the indexes of records with a value in the range. Returns their number. */
  findValues(range: ValueRange, indexes: Uint32Array): number {
    const places = {
      words: this.#words,
      count: this.recordCount,
      stride: this.#stride,
      lowAt: this.#valueLowAt,
      highAt: this.#valueHighAt,
    };
    return findValues(range, this.#columns.valueBase, places, indexes);
  }

  /** Adds all records. None may be a delete. */
  addAllTo(sum: ContentSum): void {
    if (this.#stride === 1) sum.add(sumOfColumns(this.#columns));
    else for (let i = 0; i < this.recordCount; i++) this.countRow(sum, 1, i);
  }

  /** Adds or subtracts the record at `index`, which must not be a delete. */
  countRow(sum: ContentSum, sign: Sign, index: number): void {
    const value =
      this.#words[this.#valueLowAt + index * this.#stride]! + (this.#valueBaseLow >>> 0);
    const from = this.#dataPlace(index);
    sum.countRecord(
      sign,
      this.keyLowAt(index) | 0,
      this.keyHighAt(index) | 0,
      value | 0,
      this.#highOfValue(index, value) | 0,
      (this.#view ??= new DataView(this.#words.buffer)),
      from,
      from + this.dataStartAt(index + 1) - this.dataStartAt(index),
    );
  }

  /** `lowSum`: the sum of the low halves, including the carry. */
  #highOfValue(index: number, lowSum: number): number {
    const offsetHigh = this.#offsetAt(this.#valueHighAt, index);
    return this.#valueBaseHigh + offsetHigh + (lowSum > 0xffff_ffff ? 1 : 0);
  }

  /** Returns a new chunk with copies of the records [from, to), at least one. */
  slice(from: number, to: number): Chunk {
    const firstKey = joinU64(this.keyLowAt(from), this.keyHighAt(from));
    const lastKey = joinU64(this.keyLowAt(to - 1), this.keyHighAt(to - 1));
    const columns = this.#stride === 1 ? this.#columns : restore(this.#columns);
    return new Chunk(sliceColumns(columns, from, to, firstKey, lastKey), 'adopted');
  }

  /** Afterwards all fields of a record are in one or two cache lines, and in one page. */
  #rearrange(): void {
    const rowWords = rowWordsOf(this.#columns);
    rearrange(this.#columns);
    let next = 0;
    const place = (at: number): number => (at === NO_COLUMN ? NO_COLUMN : next++);
    this.#stride = rowWords;
    this.#keyLowAt = place(this.#keyLowAt);
    this.#keyHighAt = place(this.#keyHighAt);
    this.#valueLowAt = place(this.#valueLowAt);
    this.#valueHighAt = place(this.#valueHighAt);
    this.#dataAt = next;
    this.#dataStride = rowWords;
  }

  /** Offset in the whole buffer of the data of the record at `index`. */
  #dataPlace(index: number): number {
    if (this.#dataAt !== NO_COLUMN) return 4 * (this.#dataAt + index * this.#dataStride);
    return this.#columns.data.byteOffset + this.dataStartAt(index);
  }

  /** Start of the data of record `index`. For `recordCount`: the end of all data. */
  dataStartAt(index: number): number {
    const dataEnd = this.#dataEnd;
    if (dataEnd === null) return index * this.#dataLength;
    return index === 0 ? 0 : dataEnd[index - 1]!;
  }

  #offsetLowAt(index: number): number {
    return this.#words[this.#keyLowAt + index * this.#stride]!;
  }

  #offsetHighAt(index: number): number {
    return this.#offsetAt(this.#keyHighAt, index);
  }

  /** 0 if there is no such column. */
  #offsetAt(columnAt: number, index: number): number {
    return columnAt === NO_COLUMN ? 0 : this.#words[columnAt + index * this.#stride]!;
  }

  #isKeyAt(index: number, low: number, high: number): boolean {
    return this.keyLowAt(index) === low && this.keyHighAt(index) === high;
  }
}
