import { assert } from '../base/assert.ts';
import { CHUNK_TARGET_BYTES, CHUNK_TARGET_RECORDS, ROW_HEADER_BYTES } from '../base/limits.ts';
import type { Columns } from './columns.ts';

/**
 * Initial sizes. Buffers grow to a chunk's size on demand, because most runs of a small store are
 * tiny.
 */
const FIRST_CAPACITY_RECORDS = 128;
const FIRST_CAPACITY_BYTES: number = 4 * 1024;

const scratch64 = new BigUint64Array(1);
const scratch32 = new Uint32Array(scratch64.buffer);

function join(low: number, high: number): bigint {
  scratch32[0] = low;
  scratch32[1] = high;
  return scratch64[0]!;
}

/** Views of one buffer for `recordCount` records. Unneeded columns are null. */
export interface ColumnViews {
  readonly keyLow: Uint32Array;
  readonly keyHigh: Uint32Array | null;
  readonly valueLow: Uint32Array;
  readonly valueHigh: Uint32Array | null;
  readonly dataEnd: Uint32Array | null;
  readonly data: Uint8Array;
}

/**
 * Memory for columns. `own`: an ArrayBuffer, which can be transferred. `shared`: a
 * SharedArrayBuffer, for the many long-lived columns of a load. V8 starts a full GC when external
 * memory has grown by a certain amount, but does not count SharedArrayBuffers, so large loads
 * trigger none. Merges replace shared columns with columns of the first kind, which are counted, so
 * garbage is still collected.
 */
export type ColumnMemory = 'own' | 'shared';

/** Lays out columns in one buffer of the exact size. */
export function allocateColumns(
  recordCount: number,
  dataBytes: number,
  wide: { readonly keys: boolean; readonly values: boolean; readonly lengths: boolean },
  memory: ColumnMemory = 'own',
): ColumnViews {
  const columnCount = 2 + Number(wide.keys) + Number(wide.values) + Number(wide.lengths);
  const lengthBytes = columnCount * recordCount * 4 + dataBytes;
  const buffer =
    memory === 'own' ? new ArrayBuffer(lengthBytes) : new SharedArrayBuffer(lengthBytes);
  let offset = 0;
  const next = (needed: boolean): Uint32Array | null => {
    if (!needed) return null;
    const column = new Uint32Array(buffer, offset, recordCount);
    offset += recordCount * 4;
    return column;
  };
  const keyLow = next(true)!;
  const valueLow = next(true)!;
  const keyHigh = next(wide.keys);
  const valueHigh = next(wide.values);
  const dataEnd = next(wide.lengths);
  const data = new Uint8Array(buffer, offset, dataBytes);
  return { keyLow, keyHigh, valueLow, valueHigh, dataEnd, data };
}

/** Columns with the 32-bit halves of `firstKey` and `valueBase`. */
export interface SplitColumns {
  readonly columns: Columns;
  readonly firstLow: number;
  readonly firstHigh: number;
  readonly baseLow: number;
  readonly baseHigh: number;
}

/**
 * The only constructor of `Columns`: all objects share one hidden class. Loops over objects of
 * several hidden classes take twice as long.
 */
export function columnsOf(
  recordCount: number,
  keys: { readonly firstKey: bigint; readonly lastKey: bigint },
  valueBase: bigint,
  dataLength: number,
  views: ColumnViews,
): Columns {
  return {
    recordCount,
    firstKey: keys.firstKey,
    lastKey: keys.lastKey,
    keyLow: views.keyLow,
    keyHigh: views.keyHigh,
    valueBase,
    valueLow: views.valueLow,
    valueHigh: views.valueHigh,
    dataLength,
    dataEnd: views.dataEnd,
    data: views.data,
  };
}

/**
 * Collects records in ascending key order until a chunk is full, then returns them as columns. A
 * chunk is full at `limitRecords`, or when one more row would exceed `CHUNK_TARGET_BYTES`. A chunk
 * always accepts its first record. The builder is reused for all chunks.
 */
export class ColumnsBuilder {
  #keyLow: Uint32Array = new Uint32Array(FIRST_CAPACITY_RECORDS);
  #keyHigh: Uint32Array = new Uint32Array(FIRST_CAPACITY_RECORDS);
  #valueLow: Uint32Array = new Uint32Array(FIRST_CAPACITY_RECORDS);
  #valueHigh: Uint32Array = new Uint32Array(FIRST_CAPACITY_RECORDS);
  #dataEnd: Uint32Array = new Uint32Array(FIRST_CAPACITY_RECORDS);
  #data: Uint8Array = new Uint8Array(FIRST_CAPACITY_BYTES);
  #count = 0;
  #dataBytes = 0;
  #firstDataLength = 0;
  #lengthsDiffer = false;

  /** Records per chunk. Lower than the target where a range is split evenly. */
  limitRecords: number = CHUNK_TARGET_RECORDS;

  get recordCount(): number {
    return this.#count;
  }

  /**
   * Appends as many of the records [from, to) of `source` as this chunk takes. Returns the index of
   * the first one that was not appended: `from` if the chunk is full.
   */
  appendRange(source: SplitColumns, from: number, to: number): number {
    const { columns } = source;
    const end = this.#endOfRoom(columns, from, to);
    const count = end - from;
    if (count <= 0) return from;
    while (this.#count + count > this.#keyLow.length) this.#growColumns();
    const at = this.#count;
    const { firstLow, firstHigh, baseLow, baseHigh } = source;
    addBase(
      columns.keyLow,
      columns.keyHigh,
      from,
      end,
      firstLow,
      firstHigh,
      this.#keyLow,
      this.#keyHigh,
      at,
    );
    addBase(
      columns.valueLow,
      columns.valueHigh,
      from,
      end,
      baseLow,
      baseHigh,
      this.#valueLow,
      this.#valueHigh,
      at,
    );
    this.#appendRangeOfData(columns, from, end);
    this.#count = at + count;
    return end;
  }

  /** End index of the records of [from, to) that fit. */
  #endOfRoom(columns: Columns, from: number, to: number): number {
    const end = Math.min(to, from + this.limitRecords - this.#count);
    const { dataLength, dataEnd } = columns;
    const start = dataStart(columns, from);
    const usedBytes = this.#dataBytes + this.#count * ROW_HEADER_BYTES;
    const fits = (index: number): boolean => {
      const addedBytes = dataStart(columns, index) - start + (index - from) * ROW_HEADER_BYTES;
      return usedBytes + addedBytes <= CHUNK_TARGET_BYTES;
    };
    if (end <= from || fits(end)) return end;
    // The first record is always taken, however long it is.
    let last = this.#count === 0 ? from + 1 : from;
    if (dataEnd === null) {
      const rowBytes = dataLength + ROW_HEADER_BYTES;
      last = Math.max(last, from + Math.floor((CHUNK_TARGET_BYTES - usedBytes) / rowBytes));
    } else {
      while (last < end && fits(last + 1)) last++;
    }
    return Math.min(last, end);
  }

  #appendRangeOfData(columns: Columns, from: number, end: number): void {
    const at = this.#count;
    const start = dataStart(columns, from);
    const offset = this.#dataBytes - start;
    const lengthBytes = dataStart(columns, end) - start;
    if (at === 0) this.#firstDataLength = dataStart(columns, from + 1) - start;
    if (lengthBytes > 0) this.#appendData(columns.data, start, lengthBytes);
    const dataEnds = this.#dataEnd;
    const { dataEnd, dataLength } = columns;
    const firstLength = this.#firstDataLength;
    if (dataEnd === null) {
      if (dataLength !== firstLength) this.#lengthsDiffer = true;
      let position = start + offset;
      for (let i = at; i < at + end - from; i++) dataEnds[i] = position += dataLength;
      return;
    }
    let previous = start;
    for (let i = from; i < end; i++) {
      const position = dataEnd[i]!;
      if (position - previous !== firstLength) this.#lengthsDiffer = true;
      dataEnds[at + i - from] = position + offset;
      previous = position;
    }
  }

  #growColumns(): void {
    this.#keyLow = larger(this.#keyLow);
    this.#keyHigh = larger(this.#keyHigh);
    this.#valueLow = larger(this.#valueLow);
    this.#valueHigh = larger(this.#valueHigh);
    this.#dataEnd = larger(this.#dataEnd);
  }

  #appendData(source: Uint8Array, from: number, dataLength: number): void {
    const start = this.#dataBytes;
    const end = start + dataLength;
    if (end > this.#data.length) {
      const grown = new Uint8Array(Math.max(2 * this.#data.length, end));
      grown.set(this.#data.subarray(0, start));
      this.#data = grown;
    }
    // For short data, a loop is cheaper than a subarray and `set`.
    if (dataLength <= 64) {
      const target = this.#data;
      for (let k = 0; k < dataLength; k++) target[start + k] = source[from + k]!;
    } else {
      this.#data.set(source.subarray(from, from + dataLength), start);
    }
    this.#dataBytes = end;
  }

  /** Returns all records appended since the last call, at least one, as columns. */
  finish(): Columns {
    const count = this.#count;
    assert(count > 0, 'columns hold at least one record');
    const firstKey = join(this.#keyLow[0]!, this.#keyHigh[0]!);
    const lastKey = join(this.#keyLow[count - 1]!, this.#keyHigh[count - 1]!);
    assert(count === 1 || firstKey < lastKey, 'records are appended in ascending key order');
    const values = this.#valueRange();
    const columns = allocateColumns(count, this.#dataBytes, {
      keys: lastKey - firstKey > 0xffff_ffffn,
      values: values.highest - values.base > 0xffff_ffffn,
      lengths: this.#lengthsDiffer,
    });
    subtractBase(this.#keyLow, this.#keyHigh, count, firstKey, columns.keyLow, columns.keyHigh);
    subtractBase(
      this.#valueLow,
      this.#valueHigh,
      count,
      values.base,
      columns.valueLow,
      columns.valueHigh,
    );
    columns.dataEnd?.set(this.#dataEnd.subarray(0, count));
    columns.data.set(this.#data.subarray(0, this.#dataBytes));
    const dataLength = this.#lengthsDiffer ? -1 : this.#firstDataLength;
    this.#reset();
    return columnsOf(count, { firstKey, lastKey }, values.base, dataLength, columns);
  }

  #valueRange(): { base: bigint; highest: bigint } {
    let lowestHigh = 0xffff_ffff;
    let lowestLow = 0xffff_ffff;
    let highestHigh = 0;
    let highestLow = 0;
    for (let i = 0; i < this.#count; i++) {
      const low = this.#valueLow[i]!;
      const high = this.#valueHigh[i]!;
      if (high < lowestHigh || (high === lowestHigh && low < lowestLow)) {
        lowestHigh = high;
        lowestLow = low;
      }
      if (high > highestHigh || (high === highestHigh && low > highestLow)) {
        highestHigh = high;
        highestLow = low;
      }
    }
    return { base: join(lowestLow, lowestHigh), highest: join(highestLow, highestHigh) };
  }

  #reset(): void {
    this.#count = 0;
    this.#dataBytes = 0;
    this.#lengthsDiffer = false;
    if (this.#data.length > 4 * CHUNK_TARGET_BYTES) this.#data = new Uint8Array(CHUNK_TARGET_BYTES);
  }
}

/**
 * Start of the data of the record at `index`. With `index === recordCount`, the end of all data.
 */
function dataStart({ dataEnd, dataLength }: Columns, index: number): number {
  if (dataEnd === null) return index * dataLength;
  return index === 0 ? 0 : dataEnd[index - 1]!;
}

/**
 * Adds `base` to [from, end) of a column and writes the sums to another one, from index `at` on.
 */
function addBase(
  low: Uint32Array,
  high: Uint32Array | null,
  from: number,
  end: number,
  baseLow: number,
  baseHigh: number,
  targetLow: Uint32Array,
  targetHigh: Uint32Array,
  at: number,
): void {
  let to = at;
  for (let i = from; i < end; i++, to++) {
    const sum = baseLow + low[i]!;
    targetLow[to] = sum;
    targetHigh[to] = baseHigh + (high === null ? 0 : high[i]!) + (sum > 0xffff_ffff ? 1 : 0);
  }
}

function larger(column: Uint32Array): Uint32Array {
  const grown = new Uint32Array(2 * column.length);
  grown.set(column);
  return grown;
}

function subtractBase(
  low: Uint32Array,
  high: Uint32Array,
  count: number,
  base: bigint,
  targetLow: Uint32Array,
  targetHigh: Uint32Array | null,
): void {
  scratch64[0] = base;
  const baseLow = scratch32[0]!;
  const baseHigh = scratch32[1]!;
  for (let i = 0; i < count; i++) {
    const difference = low[i]! - baseLow;
    targetLow[i] = difference;
    if (targetHigh !== null) targetHigh[i] = high[i]! - baseHigh - (difference < 0 ? 1 : 0);
  }
}
