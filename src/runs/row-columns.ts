import { viewOf } from '../base/bytes.ts';
import { CHUNK_TARGET_BYTES, CHUNK_TARGET_RECORDS, ROW_HEADER_BYTES } from '../base/limits.ts';
import { allocateColumns, type ColumnMemory, type ColumnViews } from '../format/columns-builder.ts';
import type { Columns } from '../format/columns.ts';
import {
  DATA_LENGTH,
  DATA_LENGTH_WORD,
  KEY_HIGH,
  KEY_HIGH_WORD,
  KEY_LOW,
  KEY_LOW_WORD,
  VALUE_HIGH,
  VALUE_HIGH_WORD,
  VALUE_LOW,
  VALUE_LOW_WORD,
} from '../format/row.ts';

/**
 * Memory for rows, contiguous from the start, in log format. The rows are complete and validated.
 */
export class RowBlock {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly words: Uint32Array;
  usedBytes = 0;

  constructor(lengthBytes: number) {
    const buffer = new ArrayBuffer((lengthBytes + 3) & ~3);
    this.bytes = new Uint8Array(buffer);
    this.view = viewOf(this.bytes);
    this.words = new Uint32Array(buffer);
  }
}

const ROW_HEADER_WORDS: number = ROW_HEADER_BYTES / 4;
/**
 * For data up to this length, a loop is cheaper than `set`, whose call costs more than the copy.
 */
const SHORT_BYTES = 96;

const scratch64 = new BigUint64Array(1);
const scratch32 = new Uint32Array(scratch64.buffer);

/** Consecutive rows that fit one chunk. */
interface Cut {
  readonly end: number;
  readonly count: number;
  /** Offset of the last row. */
  readonly last: number;
  /** Offsets of the rows with the lowest and the highest value. */
  readonly lowest: number;
  readonly highest: number;
  readonly lengthsDiffer: boolean;
}

/** XOR with it maps u32 order to i32 order, so that V8 compares int32. */
const SIGN: number = 0x8000_0000 | 0;

/**
 * Makes the columns of one chunk from the rows of the block from `from` on. Returns them and the
 * offset after the last row used. There must be at least one row, and keys must ascend.
 * `isAligned`: all rows are aligned to words and are read as words. That takes a tenth of the time
 * while the code is not compiled yet, at the start of an open.
 */
export function cutColumns(
  block: RowBlock,
  from: number,
  isAligned: boolean,
  memory: ColumnMemory,
): { readonly columns: Columns; readonly end: number } {
  const { view } = block;
  const cut = isAligned
    ? cutWords(block.words, from >>> 2, block.usedBytes >>> 2)
    : cutBytes(view, from, block.usedBytes);
  const { end, count, lengthsDiffer } = cut;
  const firstKey = view.getBigUint64(from + KEY_LOW, true);
  const lastKey = view.getBigUint64(cut.last + KEY_LOW, true);
  const valueBase = view.getBigUint64(cut.lowest + VALUE_LOW, true);
  const highest = view.getBigUint64(cut.highest + VALUE_LOW, true);
  const wide = {
    keys: lastKey - firstKey > 0xffff_ffffn,
    values: highest - valueBase > 0xffff_ffffn,
    lengths: lengthsDiffer,
  };
  const views = allocateColumns(count, end - from - count * ROW_HEADER_BYTES, wide, memory);
  if (isAligned) fillFromWords(views, count, block.words, from >>> 2, firstKey, valueBase);
  else fillFromBytes(views, count, block, from, firstKey, valueBase);
  const dataLength = lengthsDiffer ? -1 : view.getUint32(from + DATA_LENGTH, true);
  const columns = { recordCount: count, firstKey, lastKey, valueBase, dataLength, ...views };
  return { columns, end };
}

/** Offsets are in words. */
function cutWords(words: Uint32Array, from: number, used: number): Cut {
  const firstLength = words[from + DATA_LENGTH_WORD]!;
  let lengthsDiffer = false;
  let lowestLow = 0x7fff_ffff;
  let lowestHigh = 0x7fff_ffff;
  let highestLow = SIGN;
  let highestHigh = SIGN;
  let lowest = from;
  let highest = from;
  let last = from;
  let count = 0;
  let offset = from;
  while (offset < used && count < CHUNK_TARGET_RECORDS) {
    const length = words[offset + DATA_LENGTH_WORD]!;
    const next = offset + ROW_HEADER_WORDS + (length >>> 2);
    if (count > 0 && 4 * (next - from) > CHUNK_TARGET_BYTES) break;
    const low = words[offset + VALUE_LOW_WORD]! ^ SIGN;
    const high = words[offset + VALUE_HIGH_WORD]! ^ SIGN;
    if (high < lowestHigh || (high === lowestHigh && low < lowestLow)) {
      lowestHigh = high;
      lowestLow = low;
      lowest = offset;
    }
    if (high > highestHigh || (high === highestHigh && low > highestLow)) {
      highestHigh = high;
      highestLow = low;
      highest = offset;
    }
    if (length !== firstLength) lengthsDiffer = true;
    last = offset;
    offset = next;
    count++;
  }
  return {
    end: 4 * offset,
    count,
    last: 4 * last,
    lowest: 4 * lowest,
    highest: 4 * highest,
    lengthsDiffer,
  };
}

function cutBytes(view: DataView, from: number, used: number): Cut {
  const firstLength = view.getUint32(from + DATA_LENGTH, true);
  let lengthsDiffer = false;
  let lowestLow = 0x7fff_ffff;
  let lowestHigh = 0x7fff_ffff;
  let highestLow = SIGN;
  let highestHigh = SIGN;
  let lowest = from;
  let highest = from;
  let last = from;
  let count = 0;
  let offset = from;
  while (offset < used && count < CHUNK_TARGET_RECORDS) {
    const length = view.getUint32(offset + DATA_LENGTH, true);
    const next = offset + ROW_HEADER_BYTES + length;
    if (count > 0 && next - from > CHUNK_TARGET_BYTES) break;
    const low = view.getUint32(offset + VALUE_LOW, true) ^ SIGN;
    const high = view.getUint32(offset + VALUE_HIGH, true) ^ SIGN;
    if (high < lowestHigh || (high === lowestHigh && low < lowestLow)) {
      lowestHigh = high;
      lowestLow = low;
      lowest = offset;
    }
    if (high > highestHigh || (high === highestHigh && low > highestLow)) {
      highestHigh = high;
      highestLow = low;
      highest = offset;
    }
    if (length !== firstLength) lengthsDiffer = true;
    last = offset;
    offset = next;
    count++;
  }
  return { end: offset, count, last, lowest, highest, lengthsDiffer };
}

/** `from` is an offset in words. */
function fillFromWords(
  { keyLow, keyHigh, valueLow, valueHigh, dataEnd, data }: ColumnViews,
  count: number,
  words: Uint32Array,
  from: number,
  firstKey: bigint,
  valueBase: bigint,
): void {
  scratch64[0] = firstKey;
  const [firstLow, firstHigh] = [scratch32[0]!, scratch32[1]!];
  scratch64[0] = valueBase;
  const [baseLow, baseHigh] = [scratch32[0]!, scratch32[1]!];
  const target = new Uint32Array(data.buffer, data.byteOffset, data.length >>> 2);
  let offset = from;
  let end = 0;
  for (let i = 0; i < count; i++) {
    const low = words[offset + KEY_LOW_WORD]! - firstLow;
    keyLow[i] = low;
    if (keyHigh !== null)
      keyHigh[i] = words[offset + KEY_HIGH_WORD]! - firstHigh - (low < 0 ? 1 : 0);
    const value = words[offset + VALUE_LOW_WORD]! - baseLow;
    valueLow[i] = value;
    if (valueHigh !== null)
      valueHigh[i] = words[offset + VALUE_HIGH_WORD]! - baseHigh - (value < 0 ? 1 : 0);
    const length = words[offset + DATA_LENGTH_WORD]! >>> 2;
    offset += ROW_HEADER_WORDS;
    if (length <= SHORT_BYTES >>> 2) {
      for (let k = 0; k < length; k++) target[end + k] = words[offset + k]!;
    } else target.set(words.subarray(offset, offset + length), end);
    offset += length;
    end += length;
    if (dataEnd !== null) dataEnd[i] = 4 * end;
  }
}

function fillFromBytes(
  { keyLow, keyHigh, valueLow, valueHigh, dataEnd, data }: ColumnViews,
  count: number,
  { view, bytes }: RowBlock,
  from: number,
  firstKey: bigint,
  valueBase: bigint,
): void {
  scratch64[0] = firstKey;
  const [firstLow, firstHigh] = [scratch32[0]!, scratch32[1]!];
  scratch64[0] = valueBase;
  const [baseLow, baseHigh] = [scratch32[0]!, scratch32[1]!];
  let offset = from;
  let end = 0;
  for (let i = 0; i < count; i++) {
    const low = view.getUint32(offset + KEY_LOW, true) - firstLow;
    keyLow[i] = low;
    if (keyHigh !== null) {
      keyHigh[i] = view.getUint32(offset + KEY_HIGH, true) - firstHigh - (low < 0 ? 1 : 0);
    }
    const value = view.getUint32(offset + VALUE_LOW, true) - baseLow;
    valueLow[i] = value;
    if (valueHigh !== null) {
      valueHigh[i] = view.getUint32(offset + VALUE_HIGH, true) - baseHigh - (value < 0 ? 1 : 0);
    }
    const length = view.getUint32(offset + DATA_LENGTH, true);
    offset += ROW_HEADER_BYTES;
    if (length <= SHORT_BYTES) {
      for (let k = 0; k < length; k++) data[end + k] = bytes[offset + k]!;
    } else data.set(bytes.subarray(offset, offset + length), end);
    offset += length;
    end += length;
    if (dataEnd !== null) dataEnd[i] = end;
  }
}
