import { allocateColumns } from '../../format/columns-builder.ts';
import type { Columns } from '../../format/columns.ts';

/** A row that spans more cache lines gains little. */
const LONGEST_ROW_WORDS = 64;
/** Bounds the time to rearrange to a fraction of a millisecond. */
const MAX_WORDS = 2 ** 18;

let scratch = new Uint32Array(0);

/** Words of a row of these columns, or 0 if the columns cannot be rearranged as rows in place. */
export function rowWordsOf(columns: Columns): number {
  const { recordCount, dataEnd, dataLength, data } = columns;
  if (dataEnd !== null || dataLength % 4 !== 0) return 0;
  const rowWords = numbersOf(columns).length + dataLength / 4;
  const fits = rowWords <= LONGEST_ROW_WORDS && rowWords * recordCount <= MAX_WORDS;
  const fillsBuffer = rowWords * 4 * recordCount === data.buffer.byteLength;
  return fits && fillsBuffer ? rowWords : 0;
}

/**
 * Rearranges the columns as rows in their buffer, so that the fields of a record are adjacent. The
 * columns are invalid afterwards. A row: low half of the key, high half if there is such a column,
 * the same of the value, then the data.
 */
export function rearrange(columns: Columns): void {
  const { recordCount, data } = columns;
  const words = new Uint32Array(data.buffer);
  if (scratch.length < words.length) scratch = new Uint32Array(words.length);
  scratch.set(words);
  const dataWords = columns.dataLength / 4;
  const starts = numbersOf(columns).map((column) => column.byteOffset >>> 2);
  const rowWords = starts.length + dataWords;
  for (const [place, start] of starts.entries()) {
    for (let i = 0; i < recordCount; i++) words[i * rowWords + place] = scratch[start + i]!;
  }
  let from = data.byteOffset >>> 2;
  for (let i = 0; i < recordCount; i++) {
    const row = i * rowWords + starts.length;
    for (let k = 0; k < dataWords; k++) words[row + k] = scratch[from++]!;
  }
}

/** Returns a copy, as columns, of columns that were rearranged. */
export function restore(columns: Columns): Columns {
  const { recordCount, dataLength } = columns;
  const wide = { keys: columns.keyHigh !== null, values: columns.valueHigh !== null };
  const views = allocateColumns(recordCount, recordCount * dataLength, { ...wide, lengths: false });
  const restored = { ...columns, ...views };
  const words = new Uint32Array(columns.data.buffer);
  const numbers = numbersOf(restored);
  const rowWords = numbers.length + dataLength / 4;
  for (const [place, column] of numbers.entries()) {
    for (let i = 0; i < recordCount; i++) column[i] = words[i * rowWords + place]!;
  }
  gatherData(columns, restored.data, 0, 0, restored.data.length);
  return restored;
}

/**
 * Copies the bytes [from, to) of the original data of rearranged columns to `offset` of `target`.
 */
export function gatherData(
  columns: Columns,
  target: Uint8Array,
  offset: number,
  from: number,
  to: number,
): void {
  const { data, dataLength } = columns;
  const { buffer } = target;
  const numberBytes = 4 * numbersOf(columns).length;
  const place = target.byteOffset + offset;
  if ((place | from | to) % 4 === 0) {
    const gathered = new Uint32Array(buffer, place, (to - from) / 4);
    gather(new Uint32Array(data.buffer), numberBytes / 4, dataLength / 4, from / 4, gathered);
  } else {
    const gathered = new Uint8Array(buffer, place, to - from);
    gather(new Uint8Array(data.buffer), numberBytes, dataLength, from, gathered);
  }
}

/** `rows` and `gathered` are both in words or both in bytes. */
function gather<T extends Uint32Array | Uint8Array>(
  rows: T,
  numberLength: number,
  dataLength: number,
  from: number,
  gathered: T,
): void {
  const rowLength = numberLength + dataLength;
  let within = from % dataLength;
  let row = Math.floor(from / dataLength) * rowLength + numberLength;
  for (let i = 0; i < gathered.length; row += rowLength) {
    const end = Math.min(i + dataLength - within, gathered.length);
    for (let k = row + within; i < end; i++, k++) gathered[i] = rows[k]!;
    within = 0;
  }
}

function numbersOf({ keyLow, keyHigh, valueLow, valueHigh }: Columns): Uint32Array[] {
  return [keyLow, keyHigh, valueLow, valueHigh].filter((column) => column !== null);
}
