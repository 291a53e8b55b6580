import { contentHashOf } from './independent-content-hash.ts';
import { demand, Fields } from './independent-decoder-checks.ts';
import {
  checksumOf,
  fileHead,
  frameHead,
  isFrameHead,
  payloadOf,
  type FileHead,
  type FrameHead,
  type StoredFile,
} from './independent-decoder-file.ts';
import type { Row } from './independent-decoder-log.ts';

export interface DecodedSnapshot {
  readonly head: FileHead;
  readonly records: readonly Row[];
  /** Undefined in version 1. */
  readonly contentHash: string | undefined;
  readonly chunks: readonly { readonly records: number; readonly codec: number }[];
}

interface Entry {
  readonly offset: number;
  readonly lengthBytes: number;
  readonly records: number;
  readonly firstKey: bigint;
  readonly lastKey: bigint;
  readonly checksum: number;
  readonly dataBytes: number;
}

/** Section "Snapshot" of docs/FORMAT.md. Throws FormatError for any violation. */
export function decodeSnapshot(file: StoredFile): DecodedSnapshot {
  const head = fileHead(file);
  demand(head !== undefined, 'a snapshot has a valid header');
  const trailer = trailerOf(file, head);
  const { frame: index, payload } = wholeFrame(file, head, trailer.indexOffset);
  demand(index.kind === 4 && index.checksum === trailer.chain, 'the index is the trailer’s');
  demand(index.sequence === BigInt(trailer.chunks), 'the index counts the chunks');
  demand(
    trailer.indexOffset + 48 + index.payloadBytes === file.bytes.length - 48,
    'the index reaches up to the trailer',
  );
  const entries = entriesOf(payload, trailer);
  const contentHash = contentHashIn(payload, head);
  let chain = head.checksum;
  const records: Row[] = [];
  const chunks = entries.map((entry, ordinal) => {
    const { frame, payload: columns } = wholeFrame(file, head, entry.offset);
    demand(frame.chain === chain, 'chunks are chained');
    chain = frame.checksum;
    demandAsIndexed(frame, entry, ordinal);
    const rows = chunkRecords(columns);
    demandSpan(rows, entry);
    records.push(...rows);
    return { records: rows.length, codec: frame.codec };
  });
  demand(index.chain === chain, 'the index is chained to the last chunk');
  const isSum = contentHash === undefined || contentHash === contentHashOf(records);
  demand(isSum, 'the records have the content hash');
  return { head, records, contentHash, chunks };
}

/** The last 16 bytes of the index. */
function contentHashIn(payload: Uint8Array, head: FileHead): string | undefined {
  const fields = new Fields(payload.subarray(-16));
  if (head.version > 1) return Buffer.from(payload.subarray(-16).toReversed()).toString('hex');
  fields.demandZero(0, 16, 'totals');
  return undefined;
}

function trailerOf(file: StoredFile, head: FileHead) {
  const { length } = file.bytes;
  demand(length >= 128 + 48 + 48, 'a snapshot has header, index and trailer');
  const at = length - 48;
  const fields = new Fields(file.bytes.subarray(at));
  demand(fields.hex(0, 8) === '4c4f4445454e44f1', 'the trailer has its magic');
  demand(checksumOf(file, head.storeId, at, 44) === fields.u32(44), 'its checksum holds');
  demand(fields.number(24) === length, 'the file is as long as the trailer says');
  demand(fields.u32(40) === head.checksum, 'the trailer is tied to the file header');
  const indexOffset = fields.number(8);
  demand(indexOffset >= 128 && indexOffset + 48 <= at, 'the index lies inside');
  return {
    indexOffset,
    records: fields.number(16),
    chunks: fields.u32(32),
    chain: fields.u32(36),
  };
}

function wholeFrame(
  file: StoredFile,
  head: FileHead,
  offset: number,
): { readonly frame: FrameHead; readonly payload: Uint8Array } {
  demand(isFrameHead(file, head.storeId, offset), 'a frame header stands where it should');
  const frame = frameHead(file, offset);
  const payload = payloadOf(file, head.storeId, offset, frame);
  demand(payload !== undefined, 'a payload is whole');
  return { frame, payload };
}

function entriesOf(
  payload: Uint8Array,
  trailer: { readonly chunks: number; readonly records: number; readonly indexOffset: number },
): Entry[] {
  demand(payload.length === 40 * trailer.chunks + 32, 'the index is as long as its entries');
  const fields = new Fields(payload);
  const entries = Array.from({ length: trailer.chunks }, (_, i) => ({
    offset: fields.number(40 * i),
    lengthBytes: fields.u32(40 * i + 8),
    records: fields.u32(40 * i + 12),
    firstKey: fields.u64(40 * i + 16),
    lastKey: fields.u64(40 * i + 24),
    checksum: fields.u32(40 * i + 32),
    dataBytes: fields.u32(40 * i + 36),
  }));
  let offset = 128;
  let lastKey = -1n;
  for (const entry of entries) {
    demand(entry.offset === offset, 'chunks lie one behind the other');
    demand(entry.firstKey > lastKey && entry.lastKey >= entry.firstKey, 'chunks ascend');
    offset += entry.lengthBytes;
    lastKey = entry.lastKey;
  }
  demand(offset === trailer.indexOffset, 'chunks reach up to the index');
  const totals = 40 * trailer.chunks;
  const sum = (of: (entry: Entry) => number): number =>
    entries.reduce((total, entry) => total + of(entry), 0);
  demand(fields.number(totals) === sum((entry) => entry.records), 'records add up');
  demand(fields.number(totals + 8) === sum((entry) => entry.dataBytes), 'data adds up');
  demand(fields.number(totals) === trailer.records, 'index and trailer agree');
  return entries;
}

function demandAsIndexed(frame: FrameHead, entry: Entry, ordinal: number): void {
  demand(frame.kind === 3, 'a chunk is one');
  demand(frame.checksum === entry.checksum, 'a chunk is the one that the index names');
  demand(frame.payloadBytes + 48 === entry.lengthBytes, 'a chunk is as long as the index says');
  demand(frame.records === entry.records, 'a chunk has as many records as the index says');
  demand(frame.sequence === BigInt(ordinal), 'chunks are numbered');
}

function demandSpan(rows: readonly Row[], entry: Entry): void {
  const dataBytes = rows.reduce((sum, row) => sum + row.data.length, 0);
  demand(rows.length === entry.records, 'a chunk holds its records');
  demand(rows[0]?.key === entry.firstKey, 'a chunk begins with its first key');
  demand(rows.at(-1)?.key === entry.lastKey, 'a chunk ends with its last key');
  demand(dataBytes === entry.dataBytes, 'a chunk holds its data');
}

/** Section "Chunk: columns". */
function chunkRecords(bytes: Uint8Array): Row[] {
  demand(bytes.length >= 32, 'a chunk has a head');
  const head = new Fields(bytes);
  const n = head.u32(0);
  const [keyWidth, valueWidth, lengthWidth] = [head.u8(4), head.u8(5), head.u8(6)];
  demand(n >= 1 && n <= 2 ** 23, 'a chunk has 1 to 2^23 records');
  demand(keyWidth <= 8 && valueWidth <= 8 && lengthWidth <= 4, 'columns are not too wide');
  head.demandZero(7, 8, 'chunk');
  head.demandZero(28, 32, 'chunk');
  demand(lengthWidth === 0 || head.u32(24) === 0, 'lengths stand in one place');
  const dataAt = 32 + keyWidth * (n - 1) + (valueWidth + lengthWidth) * n;
  demand(dataAt <= bytes.length, 'the columns fit');
  const gaps = planes(bytes, 32, n - 1, keyWidth);
  const values = planes(bytes, 32 + keyWidth * (n - 1), n, valueWidth);
  const lengthsAt = 32 + keyWidth * (n - 1) + valueWidth * n;
  const lengths = planes(bytes, lengthsAt, n, lengthWidth);
  const rows: Row[] = [];
  let key = head.u64(8);
  let from = dataAt;
  for (let i = 0; i < n; i++) {
    if (i > 0) key += (gaps[i - 1] ?? 0n) + 1n;
    const value = head.u64(16) + (values[i] ?? 0n);
    const to = from + (lengthWidth === 0 ? head.u32(24) : Number(lengths[i] ?? 0n));
    demand(key < 2n ** 64n && value > 0n && value < 2n ** 64n, 'keys and values are in range');
    demand(to <= bytes.length, 'the data fits');
    rows.push({ key, value, data: bytes.slice(from, to) });
    from = to;
  }
  demand(from === bytes.length, 'the data adds up');
  return rows;
}

function planes(bytes: Uint8Array, at: number, count: number, width: number): bigint[] {
  return Array.from({ length: count }, (_, i) => {
    let number = 0n;
    for (let plane = width - 1; plane >= 0; plane--) {
      number = (number << 8n) | BigInt(bytes[at + plane * count + i] ?? 0);
    }
    return number;
  });
}
