import { present } from '../base/assert.ts';
import type { SplitColumns } from '../format/columns-builder.ts';
import type { Columns } from '../format/columns.ts';

const scratch64 = new BigUint64Array(1);
const scratch32 = new Uint32Array(scratch64.buffer);

/** Iterates over records in ascending key order, across columns. A value of 0 is a delete. */
export class RunCursor {
  readonly #chunks: readonly Columns[];
  #chunk = -1;
  #index = 0;
  #count = 0;
  #columns: Columns | undefined;
  #split: SplitColumns | undefined;
  #firstLow = 0;
  #firstHigh = 0;
  #baseLow = 0;
  #baseHigh = 0;
  done = false;
  keyLow = 0;
  keyHigh = 0;

  constructor(chunks: readonly Columns[]) {
    this.#chunks = chunks;
    this.#enterChunk();
  }

  next(): void {
    this.#index++;
    if (this.#index === this.#count) this.#enterChunk();
    else this.#load();
  }

  #enterChunk(): void {
    this.#chunk++;
    this.#index = 0;
    this.#columns = this.#chunks[this.#chunk];
    if (this.#columns === undefined) {
      this.done = true;
      return;
    }
    this.#count = this.#columns.recordCount;
    scratch64[0] = this.#columns.firstKey;
    this.#firstLow = scratch32[0]!;
    this.#firstHigh = scratch32[1]!;
    scratch64[0] = this.#columns.valueBase;
    this.#baseLow = scratch32[0]!;
    this.#baseHigh = scratch32[1]!;
    this.#split = undefined;
    this.#load();
  }

  /** The chunk that holds the record. Not available when `done`. */
  get chunk(): SplitColumns {
    this.#split ??= {
      columns: present(this.#columns, 'a cursor that is not done stands in a chunk'),
      firstLow: this.#firstLow,
      firstHigh: this.#firstHigh,
      baseLow: this.#baseLow,
      baseHigh: this.#baseHigh,
    };
    return this.#split;
  }

  /** Index of the record in its chunk. */
  get index(): number {
    return this.#index;
  }

  /**
   * If the cursor is at the first record of a chunk that a snapshot can take unchanged, returns
   * that chunk and moves to the next one. Such a chunk is full (it is not the last one), lies
   * entirely below `bound` and has no deletes.
   */
  takeWholeChunk(bound: KeyBound | undefined): Columns | undefined {
    const columns = this.#columns;
    const count = this.#count;
    if (columns === undefined || this.#index > 0 || this.#chunk === this.#chunks.length - 1) {
      return undefined;
    }
    if (this.endBelow(bound) < count || this.firstDelete(count) < count) return undefined;
    this.#enterChunk();
    return columns;
  }

  /** Moves to record `index` of the chunk, or to the next chunk if this one ends there. */
  skipTo(index: number): void {
    this.#index = index;
    if (index === this.#count) this.#enterChunk();
    else this.#load();
  }

  /** Moves forward to the first record whose key is not below `bound`. */
  skipBelow(bound: bigint): void {
    while (!this.done && this.#columns!.lastKey < bound) this.#enterChunk();
    if (!this.done) this.skipTo(Math.max(this.#index, lowerBound(this.#columns!, bound)));
  }

  /**
   * Index in the chunk of the first record, from the current one on, whose key is not below
   * `bound`.
   */
  endBelow(bound: KeyBound | undefined): number {
    if (bound === undefined) return this.#count;
    return this.#endBelow(bound.low, bound.high);
  }

  /** Like {@link endBelow}, with the current key of another cursor as the bound. */
  endBelowKeyOf({ keyLow, keyHigh }: RunCursor): number {
    return this.#endBelow(keyLow, keyHigh);
  }

  #endBelow(low: number, high: number): number {
    const { keyLow, keyHigh } = this.#columns!;
    const count = this.#count;
    const difference = low - this.#firstLow;
    const limitLow = difference >>> 0;
    const limitHigh = high - this.#firstHigh - (difference < 0 ? 1 : 0);
    let end = this.#index;
    if (limitHigh < 0) return end;
    if (keyHigh === null) {
      if (limitHigh > 0) return count;
      while (end < count && keyLow[end]! < limitLow) end++;
      return end;
    }
    while (end < count) {
      const atHigh = keyHigh[end]!;
      if (atHigh > limitHigh || (atHigh === limitHigh && keyLow[end]! >= limitLow)) break;
      end++;
    }
    return end;
  }

  /**
   * Index in the chunk of the first delete from the current record on, or `end` if there is none
   * before it.
   */
  firstDelete(end: number): number {
    if (this.#baseLow !== 0 || this.#baseHigh !== 0) return end;
    const { valueLow, valueHigh } = this.#columns!;
    for (let i = this.#index; i < end; i++) {
      if (valueLow[i] === 0 && (valueHigh === null || valueHigh[i] === 0)) return i;
    }
    return end;
  }

  #load(): void {
    const { keyLow, keyHigh } = this.#columns!;
    const low = this.#firstLow + keyLow[this.#index]!;
    const high = this.#firstHigh + (keyHigh === null ? 0 : keyHigh[this.#index]!);
    this.keyLow = low >>> 0;
    this.keyHigh = (high + (low > 0xffff_ffff ? 1 : 0)) >>> 0;
  }

  get valueLow(): number {
    return (this.#baseLow + this.#columns!.valueLow[this.#index]!) >>> 0;
  }

  get valueHigh(): number {
    const { valueLow, valueHigh } = this.#columns!;
    const carry = this.#baseLow + valueLow[this.#index]! > 0xffff_ffff ? 1 : 0;
    const high = valueHigh === null ? 0 : valueHigh[this.#index]!;
    return (this.#baseHigh + high + carry) >>> 0;
  }

  get isDelete(): boolean {
    return this.valueLow === 0 && this.valueHigh === 0;
  }

  /** The buffer that holds the record's data. */
  get data(): Uint8Array {
    return this.#columns!.data;
  }

  get dataFrom(): number {
    const { dataEnd, dataLength } = this.#columns!;
    if (dataEnd === null) return this.#index * dataLength;
    return this.#index === 0 ? 0 : dataEnd[this.#index - 1]!;
  }

  get dataLength(): number {
    const { dataEnd, dataLength } = this.#columns!;
    return dataEnd === null ? dataLength : dataEnd[this.#index]! - this.dataFrom;
  }

  /** Whether a record below `bound` is left. `undefined` is above every key. */
  isBelow(bound: KeyBound | undefined): boolean {
    if (this.done) return false;
    if (bound === undefined) return true;
    return this.keyHigh < bound.high || (this.keyHigh === bound.high && this.keyLow < bound.low);
  }

  /** An upper bound on the number of records left below `bound`. Chunks below it count whole. */
  countBelow(bound: bigint | undefined): number {
    if (this.done) return 0;
    let count = -this.#index;
    for (let i = this.#chunk; i < this.#chunks.length; i++) {
      const columns = this.#chunks[i]!;
      if (bound !== undefined && columns.firstKey >= bound) break;
      count +=
        bound === undefined || columns.lastKey < bound
          ? columns.recordCount
          : lowerBound(columns, bound);
    }
    return count;
  }
}

/** Halves of an exclusive upper bound. */
export interface KeyBound {
  readonly low: number;
  readonly high: number;
}

export function keyBound(key: bigint): KeyBound {
  scratch64[0] = key;
  return { low: scratch32[0]!, high: scratch32[1]! };
}

/** Index of the first record whose key is at or above `key`. */
export function lowerBound(columns: Columns, key: bigint): number {
  if (key <= columns.firstKey) return 0;
  const offset = key - columns.firstKey;
  const high = Number(offset >> 32n);
  const low = Number(offset & 0xffff_ffffn);
  let from = 0;
  let to = columns.recordCount;
  while (from < to) {
    const middle = (from + to) >>> 1;
    const middleHigh = columns.keyHigh === null ? 0 : columns.keyHigh[middle]!;
    const isBelow = middleHigh < high || (middleHigh === high && columns.keyLow[middle]! < low);
    if (isBelow) from = middle + 1;
    else to = middle;
  }
  return from;
}
