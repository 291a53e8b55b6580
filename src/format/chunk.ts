import { assert } from '../base/assert.ts';
import { viewOf } from '../base/bytes.ts';
import { MAX_FRAME_DECODED_BYTES, MAX_U64 } from '../base/limits.ts';
import { allocateColumns, columnsOf, type ColumnMemory } from './columns-builder.ts';
import type { Columns } from './columns.ts';

/**
 * A chunk's decoded payload: a fixed head, then key differences, values and data lengths as byte
 * planes (all lowest bytes, then all second bytes, …), then the data.
 */
export const CHUNK_HEAD_BYTES = 32;

const scratch64 = new BigUint64Array(1);
const scratch32 = new Uint32Array(scratch64.buffer);

/** Upper bound of the encoded length, before compression. */
export function chunkBoundBytes(columns: Columns): number {
  return CHUNK_HEAD_BYTES + columns.recordCount * 20 + columns.data.length;
}

function bytesNeeded(value: number): number {
  return value === 0 ? 0 : Math.ceil((32 - Math.clz32(value)) / 8);
}

/** Writes the byte planes of u64 numbers (low, high). Returns the end offset. */
function writePlanes(
  target: Uint8Array,
  offset: number,
  low: Uint32Array,
  high: Uint32Array | null,
  count: number,
  width: number,
): number {
  for (let plane = 0; plane < width; plane++) {
    const source = plane < 4 ? low : high!;
    const shift = (plane & 3) * 8;
    for (let i = 0; i < count; i++) target[offset + i] = source[i]! >>> shift;
    offset += count;
  }
  return offset;
}

function widthOf(low: Uint32Array, high: Uint32Array | null, count: number): number {
  let anyLow = 0;
  let anyHigh = 0;
  for (let i = 0; i < count; i++) {
    anyLow |= low[i]!;
    if (high !== null) anyHigh |= high[i]!;
  }
  return anyHigh === 0 ? bytesNeeded(anyLow >>> 0) : 4 + bytesNeeded(anyHigh >>> 0);
}

/** Differences of neighbouring keys, minus 1: zero for dense ids. */
function keyDifferences(columns: Columns): { low: Uint32Array; high: Uint32Array | null } {
  const count = columns.recordCount - 1;
  const { keyLow, keyHigh } = columns;
  const low = new Uint32Array(count);
  const high = keyHigh === null ? null : new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    const difference = keyLow[i + 1]! - keyLow[i]! - 1;
    low[i] = difference;
    if (high !== null) {
      const borrow = difference < 0 ? 1 : 0;
      high[i] = keyHigh![i + 1]! - keyHigh![i]! - borrow;
    }
  }
  return { low, high };
}

function dataLengths(columns: Columns): Uint32Array {
  const ends = columns.dataEnd!;
  const lengths = new Uint32Array(columns.recordCount);
  let start = 0;
  for (let i = 0; i < lengths.length; i++) {
    lengths[i] = ends[i]! - start;
    start = ends[i]!;
  }
  return lengths;
}

/** Encodes into `target` (at least `chunkBoundBytes`). Returns the length of the encoded chunk. */
export function encodeChunk(target: Uint8Array, columns: Columns): number {
  const count = columns.recordCount;
  const keys = keyDifferences(columns);
  const keyWidth = widthOf(keys.low, keys.high, count - 1);
  const valueWidth = widthOf(columns.valueLow, columns.valueHigh, count);
  const lengths = columns.dataEnd === null ? null : dataLengths(columns);
  const lengthWidth = lengths === null ? 0 : widthOf(lengths, null, count);
  const view = viewOf(target);
  view.setUint32(0, count, true);
  target[4] = keyWidth;
  target[5] = valueWidth;
  target[6] = lengthWidth;
  target[7] = 0;
  view.setBigUint64(8, columns.firstKey, true);
  view.setBigUint64(16, columns.valueBase, true);
  view.setUint32(24, lengths === null ? columns.dataLength : 0, true);
  view.setUint32(28, 0, true);
  let offset = CHUNK_HEAD_BYTES;
  offset = writePlanes(target, offset, keys.low, keys.high, count - 1, keyWidth);
  offset = writePlanes(target, offset, columns.valueLow, columns.valueHigh, count, valueWidth);
  if (lengths !== null) offset = writePlanes(target, offset, lengths, null, count, lengthWidth);
  target.set(columns.data, offset);
  return offset + columns.data.length;
}

/**
 * Reads up to four planes into u32 numbers. There is one function per width, so that V8 compiles
 * only the widths in use.
 */
function readPlanes(
  target: Uint32Array,
  source: Uint8Array,
  offset: number,
  count: number,
  width: number,
): void {
  if (width === 1) readOnePlane(target, source, offset, count);
  else if (width === 2) readTwoPlanes(target, source, offset, count);
  else if (width === 3) readThreePlanes(target, source, offset, count);
  else if (width === 4) readFourPlanes(target, source, offset, count);
}

function readOnePlane(
  target: Uint32Array,
  source: Uint8Array,
  offset: number,
  count: number,
): void {
  for (let i = 0; i < count; i++) target[i] = source[offset + i]!;
}

function readTwoPlanes(
  target: Uint32Array,
  source: Uint8Array,
  offset: number,
  count: number,
): void {
  const second = offset + count;
  for (let i = 0; i < count; i++) target[i] = source[offset + i]! | (source[second + i]! << 8);
}

function readThreePlanes(
  target: Uint32Array,
  source: Uint8Array,
  offset: number,
  count: number,
): void {
  const second = offset + count;
  const third = second + count;
  for (let i = 0; i < count; i++) {
    target[i] = source[offset + i]! | (source[second + i]! << 8) | (source[third + i]! << 16);
  }
}

function readFourPlanes(
  target: Uint32Array,
  source: Uint8Array,
  offset: number,
  count: number,
): void {
  const second = offset + count;
  const third = second + count;
  const fourth = third + count;
  for (let i = 0; i < count; i++) {
    target[i] =
      source[offset + i]! |
      (source[second + i]! << 8) |
      (source[third + i]! << 16) |
      (source[fourth + i]! << 24);
  }
}

interface ChunkHead {
  readonly count: number;
  readonly keyWidth: number;
  readonly valueWidth: number;
  readonly lengthWidth: number;
  readonly dataLength: number;
  readonly dataOffset: number;
}

function decodeHead(bytes: Uint8Array): ChunkHead | string {
  if (bytes.length < CHUNK_HEAD_BYTES) return 'the chunk is shorter than its header';
  const view = viewOf(bytes);
  const count = view.getUint32(0, true);
  const [keyWidth, valueWidth, lengthWidth] = [bytes[4]!, bytes[5]!, bytes[6]!];
  if (count === 0) return 'the chunk holds no record';
  if (keyWidth > 8 || valueWidth > 8 || lengthWidth > 4) return 'a column is too wide';
  const planeBytes = keyWidth * (count - 1) + (valueWidth + lengthWidth) * count;
  const dataOffset = CHUNK_HEAD_BYTES + planeBytes;
  if (dataOffset > bytes.length) return 'the columns do not fit the chunk';
  const dataLength = view.getUint32(24, true);
  if (bytes[7] !== 0 || view.getUint32(28, true) !== 0) {
    return 'a reserved byte of the chunk is not zero';
  }
  if (lengthWidth > 0 && dataLength !== 0)
    return 'the chunk has both a data length and a column of lengths';
  if (lengthWidth === 0 && dataLength * count !== bytes.length - dataOffset) {
    return 'the length of the data differs from its column';
  }
  // If all columns have width 0 and there is no data, only the head bounds the count. The limit
  // prevents a large allocation.
  if (count > MAX_FRAME_DECODED_BYTES / 8)
    return 'the chunk counts more records than a frame holds';
  return { count, keyWidth, valueWidth, lengthWidth, dataLength, dataOffset };
}

/** Replaces differences by offsets from the first key. Returns false if a key exceeds u64. */
function accumulateKeys(low: Uint32Array, high: Uint32Array | null, firstKey: bigint): boolean {
  return high === null ? accumulateNarrow(low, firstKey) : accumulateWide(low, high, firstKey);
}

/** {@link keysAreWide} has checked that the sum of all differences fits 32 bits. */
function accumulateNarrow(low: Uint32Array, firstKey: bigint): boolean {
  let sum = 0;
  // Each difference is stored one place too low: it belongs to the next record.
  let next = low[0]!;
  low[0] = 0;
  for (let i = 1; i < low.length; i++) {
    sum = (sum + next + 1) | 0;
    next = low[i]!;
    low[i] = sum;
  }
  return firstKey + BigInt(sum >>> 0) <= MAX_U64;
}

/** Uses wrapping int32 arithmetic: a sum below one of its addends means a carry. */
function accumulateWide(low: Uint32Array, high: Uint32Array, firstKey: bigint): boolean {
  let sumLow = 0;
  let sumHigh = 0;
  let nextLow = low[0]!;
  let nextHigh = high[0]!;
  low[0] = 0;
  high[0] = 0;
  for (let i = 1; i < low.length; i++) {
    // The stored value is the difference minus 1.
    const addedLow = (nextLow + 1) | 0;
    const addedCarry = addedLow === 0 ? 1 : 0;
    sumLow = (sumLow + addedLow) | 0;
    const carry = addedCarry | (sumLow >>> 0 < addedLow >>> 0 ? 1 : 0);
    const before = sumHigh;
    sumHigh = (sumHigh + nextHigh + carry) | 0;
    if (sumHigh >>> 0 < before >>> 0 || (carry === 1 && nextHigh === 0xffff_ffff)) return false;
    nextLow = low[i]!;
    nextHigh = high[i]!;
    low[i] = sumLow;
    high[i] = sumHigh;
  }
  scratch32[0] = sumLow;
  scratch32[1] = sumHigh;
  return firstKey + scratch64[0]! <= MAX_U64;
}

function accumulateLengths(ends: Uint32Array): number {
  let end = 0;
  for (let i = 0; i < ends.length; i++) {
    end += ends[i]!;
    ends[i] = end;
  }
  return end;
}

/**
 * Whether the sum of all key differences needs more than 32 bits. Doubles are exact enough for it.
 */
function keysAreWide(bytes: Uint8Array, head: ChunkHead): boolean {
  const count = head.count - 1;
  if (count * 256 ** head.keyWidth <= 0xffff_ffff) return false;
  // A non-zero upper byte of any difference is enough. `some` usually finds one early.
  const upper = bytes.subarray(
    CHUNK_HEAD_BYTES + 4 * count,
    CHUNK_HEAD_BYTES + head.keyWidth * count,
  );
  if (upper.some((byte) => byte !== 0)) return true;
  let sum = count;
  let scale = 1;
  for (let plane = 0; plane < Math.min(head.keyWidth, 4); plane++) {
    let planeSum = 0;
    const from = CHUNK_HEAD_BYTES + plane * count;
    for (let i = 0; i < count; i++) planeSum += bytes[from + i]!;
    sum += planeSum * scale;
    scale *= 256;
  }
  return sum > 0xffff_ffff;
}

/** No value may be 0, which means a delete, or exceed u64. */
function valuesBroken(columns: Columns, width: number): string | undefined {
  const { valueLow, valueHigh, valueBase } = columns;
  // Fast path: offsets of this width can neither make a value 0 nor exceed u64.
  const highestOffset = (1n << BigInt(8 * width)) - 1n;
  if (valueBase > 0n && valueBase + highestOffset <= MAX_U64) return undefined;
  let highestLow = 0;
  let highestHigh = 0;
  for (let i = 0; i < valueLow.length; i++) {
    const high = valueHigh === null ? 0 : valueHigh[i]!;
    const low = valueLow[i]!;
    if (valueBase === 0n && low === 0 && high === 0) return 'a record has value 0';
    if (high > highestHigh || (high === highestHigh && low > highestLow)) {
      highestHigh = high;
      highestLow = low;
    }
  }
  scratch32[0] = highestLow;
  scratch32[1] = highestHigh;
  return valueBase + scratch64[0]! > MAX_U64 ? 'a value exceeds u64' : undefined;
}

/**
 * Decodes a chunk's payload into columns of one buffer. Every field is checked before it is used.
 * Returns the reason as a string if the bytes are not a valid chunk.
 */
export function decodeChunk(bytes: Uint8Array, memory: ColumnMemory = 'own'): Columns | string {
  const head = decodeHead(bytes);
  if (typeof head === 'string') return head;
  const { count, keyWidth, valueWidth, lengthWidth, dataOffset } = head;
  const dataBytes = bytes.length - dataOffset;
  const wide = {
    keys: keysAreWide(bytes, head),
    values: valueWidth > 4,
    lengths: lengthWidth > 0,
  };
  const views = allocateColumns(count, dataBytes, wide, memory);
  const keyOffset = CHUNK_HEAD_BYTES;
  readPlanes(views.keyLow, bytes, keyOffset, count - 1, Math.min(keyWidth, 4));
  if (views.keyHigh !== null && keyWidth > 4) {
    readPlanes(views.keyHigh, bytes, keyOffset + 4 * (count - 1), count - 1, keyWidth - 4);
  }
  const valueOffset = keyOffset + keyWidth * (count - 1);
  readPlanes(views.valueLow, bytes, valueOffset, count, Math.min(valueWidth, 4));
  if (views.valueHigh !== null) {
    readPlanes(views.valueHigh, bytes, valueOffset + 4 * count, count, valueWidth - 4);
  }
  if (views.dataEnd !== null) {
    readPlanes(views.dataEnd, bytes, valueOffset + valueWidth * count, count, lengthWidth);
    if (accumulateLengths(views.dataEnd) !== dataBytes) return 'the data lengths do not add up';
  }
  views.data.set(bytes.subarray(dataOffset));
  return completeColumns(bytes, head, views);
}

function completeColumns(
  bytes: Uint8Array,
  head: ChunkHead,
  views: ReturnType<typeof allocateColumns>,
): Columns | string {
  const view = viewOf(bytes);
  const firstKey = view.getBigUint64(8, true);
  const valueBase = view.getBigUint64(16, true);
  if (!accumulateKeys(views.keyLow, views.keyHigh, firstKey)) return 'a key exceeds u64';
  const last = head.count - 1;
  scratch32[0] = views.keyLow[last]!;
  scratch32[1] = views.keyHigh === null ? 0 : views.keyHigh[last]!;
  const lastKey = firstKey + scratch64[0]!;
  const dataLength = head.lengthWidth === 0 ? head.dataLength : -1;
  const columns = columnsOf(head.count, { firstKey, lastKey }, valueBase, dataLength, views);
  const broken = valuesBroken(columns, head.valueWidth);
  if (broken !== undefined) return broken;
  assert(lastKey >= firstKey, 'keys ascend');
  return columns;
}
