import { crc32c } from '@node-rs/crc32';
import { BLOCK_BYTES, BlockTable, blockCount, tableLength } from './block-table.ts';
import { sumsOf, writeTable } from './block-table.ts';

/**
 * A record of a volume: header, name, meta, body, a CRC-32C per 64 KiB of body, and zeros to a
 * multiple of 8 bytes. A compressed body has a table of its blocks instead of the checksums.
 * `docs/VOLUMES.md` specifies the bytes.
 *
 * The header's checksum is seeded with the node's id, the volume's number and the offset. A header
 * is therefore valid in one place of one file of one node only, and a client's bytes are never
 * taken for one. The blocks' checksums are seeded with sequence and key, which a copy keeps, so a
 * copy needs only a new header.
 */
export const RECORD_HEADER_BYTES = 64;
/** A record begins and ends at a multiple of it. */
export const RECORD_ALIGN_BYTES = 8;

const MAGIC = 0x4352_444c;
const HEADER_CHECKED_FROM = 8;
const FLAGS_AT = 9;
const MAX_RECORD_BYTES = 2 ** 32;

/** A smaller body is copied, and one whose pieces are smaller on average. */
const LEAST_SHARED_BYTES = 64 * 1024;
const LEAST_PIECE_BYTES = 8 * 1024;

export type RecordKind = 'object' | 'extent' | 'leaf' | 'tombstone' | 'void' | 'bucket';

/** By their bytes. */
const KINDS: readonly (RecordKind | undefined)[] = [
  undefined,
  'object',
  'extent',
  'leaf',
  'tombstone',
  'void',
  'bucket',
];

/** A flag: the body is the list of the object's extents. */
export const FLAG_EXTENTS = 1;
/** A flag: the body is compressed by blocks, see `BlockTable`. */
export const FLAG_COMPRESSED = 2;
/** A record with other flags, or with both, is of a later version. */
const KNOWN_FLAGS: readonly number[] = [0, FLAG_EXTENTS, FLAG_COMPRESSED];

export interface RecordHeader {
  readonly kind: RecordKind;
  readonly flags: number;
  readonly nameBytes: number;
  readonly metaBytes: number;
  readonly sequence: number;
  /** Its meaning depends on the kind. */
  readonly key: bigint;
  readonly bucketId: number;
  /** Length as stored. */
  readonly bodyBytes: number;
  /** Length of the object, however its body is stored. */
  readonly sizeBytes: number;
  readonly timeMs: number;
  /** CRC-32C of name and meta. */
  readonly labelSum: number;
}

export interface RecordContent {
  readonly kind: RecordKind;
  readonly flags?: number;
  readonly sequence: number;
  readonly key: bigint;
  readonly bucketId: number;
  readonly sizeBytes: number;
  readonly timeMs: number;
  readonly name: Uint8Array;
  readonly meta: Uint8Array;
  readonly body: readonly Uint8Array[];
  readonly bodyBytes: number;
  /** Lengths of the stored blocks, for a compressed body. */
  readonly blockLengths?: readonly number[] | undefined;
}

type RecordLengths = Pick<
  RecordHeader,
  'flags' | 'nameBytes' | 'metaBytes' | 'bodyBytes' | 'sizeBytes'
>;

/** Length of the whole record, including checksums and padding. */
export function lengthOfRecord(lengths: RecordLengths): number {
  const { flags, nameBytes, metaBytes, bodyBytes, sizeBytes } = lengths;
  const isCompressed = (flags & FLAG_COMPRESSED) !== 0;
  const sumBytes = isCompressed ? tableLength(sizeBytes) : 4 * blockCount(bodyBytes);
  const bytes = RECORD_HEADER_BYTES + nameBytes + metaBytes + bodyBytes + sumBytes;
  return Math.ceil(bytes / RECORD_ALIGN_BYTES) * RECORD_ALIGN_BYTES;
}

/** False if no header can be at `at` in `bytes`; cheap. */
export function mayBeHeader(bytes: Buffer, at: number): boolean {
  return bytes.readUInt32LE(at) === MAGIC && KINDS[bytes[at + 8]!] !== undefined;
}

/** True if only volumes of version 2 may have the record at `at` in `bytes`. */
export function isOfVersion2(bytes: Buffer, at: number): boolean {
  return (bytes[at + FLAGS_AT]! & FLAG_COMPRESSED) !== 0;
}

/** Offset of the body in its record. */
export function bodyOffset(header: RecordHeader): number {
  return RECORD_HEADER_BYTES + header.nameBytes + header.metaBytes;
}

/** The seed of the checksums of a body's blocks. */
export function blockSeed(sequence: number, key: bigint): number {
  return (sequence ^ Number(key & 0xffff_ffffn)) >>> 0;
}

/**
 * Everything except the header's checksum, which `HeaderSeal.place` adds once the place is known.
 */
export function encodeRecord(content: RecordContent): Buffer {
  const { body } = content;
  const bytes = Buffer.allocUnsafe(lengthOfRecord(lengthsOf(content)));
  const start = writeHead(content, bytes);
  let at = start;
  for (const piece of body) {
    bytes.set(piece, at);
    at += piece.length;
  }
  writeTail(content, [bytes.subarray(start, at)], bytes, at);
  return bytes;
}

/** A record to write. */
export interface RecordPieces {
  /** Begins with the header. */
  readonly head: Buffer;
  readonly rest: readonly Uint8Array[];
  readonly lengthBytes: number;
}

/**
 * As `encodeRecord`. The pieces of a large body are part of the record: a copy of a MiB takes a
 * millisecond. They must not change until the record is written.
 */
export function encodeInPieces(content: RecordContent): RecordPieces {
  const { name, meta, body, bodyBytes } = content;
  const lengthBytes = lengthOfRecord(lengthsOf(content));
  if (bodyBytes < LEAST_SHARED_BYTES || bodyBytes < LEAST_PIECE_BYTES * body.length) {
    return { head: encodeRecord(content), rest: [], lengthBytes };
  }
  const start = RECORD_HEADER_BYTES + name.length + meta.length;
  const bytes = Buffer.allocUnsafe(lengthBytes - bodyBytes);
  writeHead(content, bytes);
  writeTail(content, body, bytes, start);
  const rest = [...body, bytes.subarray(start)];
  return { head: bytes.subarray(0, start), rest, lengthBytes };
}

/** Header, name and meta. Returns their length. */
function writeHead(content: RecordContent, bytes: Buffer): number {
  const { name, meta, bodyBytes, sizeBytes } = content;
  bytes.writeUInt32LE(MAGIC, 0);
  // Not yet the checksum.
  bytes.writeUInt32LE(0, 4);
  bytes[8] = KINDS.indexOf(content.kind);
  bytes[FLAGS_AT] = flagsOf(content);
  bytes.writeUInt16LE(name.length, 10);
  bytes.writeUInt32LE(meta.length, 12);
  writeSafe(bytes, content.sequence, 16);
  bytes.writeBigUInt64LE(content.key, 24);
  bytes.writeUInt32LE(content.bucketId, 32);
  writeSafe(bytes, bodyBytes, 40);
  writeSafe(bytes, sizeBytes, 48);
  writeSafe(bytes, content.timeMs, 56);
  bytes.set(name, RECORD_HEADER_BYTES);
  bytes.set(meta, RECORD_HEADER_BYTES + name.length);
  const start = RECORD_HEADER_BYTES + name.length + meta.length;
  bytes.writeUInt32LE(crc32c(bytes.subarray(RECORD_HEADER_BYTES, start)), 36);
  return start;
}

/** Writes what follows the body: checksums or the table, and zeros up to the end of `bytes`. */
function writeTail(
  content: RecordContent,
  pieces: readonly Uint8Array[],
  bytes: Buffer,
  from: number,
): void {
  const { blockLengths, sequence, key } = content;
  const seed = blockSeed(sequence, key);
  let at = from;
  if (blockLengths === undefined) {
    for (const sum of sumsOf(pieces, () => BLOCK_BYTES, seed)) at = bytes.writeUInt32LE(sum, at);
  } else {
    const sums = sumsOf(pieces, (block) => blockLengths[block] ?? Infinity, seed);
    at = writeTable(bytes, at, blockLengths, sums, seed);
  }
  bytes.fill(0, at);
}

/** The lengths of a record to encode. */
function lengthsOf(content: RecordContent): RecordLengths {
  const { name, meta, bodyBytes, sizeBytes } = content;
  const flags = flagsOf(content);
  return { flags, nameBytes: name.length, metaBytes: meta.length, bodyBytes, sizeBytes };
}

function flagsOf({ flags = 0, blockLengths }: RecordContent): number {
  return blockLengths === undefined ? flags : flags | FLAG_COMPRESSED;
}

function writeSafe(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value % 2 ** 32, at);
  bytes.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

function readSafe(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
}

/** Computes the checksums of headers in one volume. */
export class HeaderSeal {
  readonly #scratch = Buffer.alloc(16 + RECORD_HEADER_BYTES - HEADER_CHECKED_FROM);
  readonly #seed: number;

  constructor(nodeId: Uint8Array, volumeNumber: number) {
    this.#seed = crc32c(nodeId);
    this.#scratch.writeUInt32LE(volumeNumber, 0);
  }

  #sumOf(bytes: Buffer, at: number, offset: number): number {
    const scratch = this.#scratch;
    writeSafe(scratch, offset, 8);
    // A loop, because a call of `copy` takes longer for so few bytes.
    for (let i = HEADER_CHECKED_FROM; i < RECORD_HEADER_BYTES; i++) scratch[8 + i] = bytes[at + i]!;
    return crc32c(scratch, this.#seed);
  }

  /** Makes the record at `at` in `bytes` valid at `offset` of its volume. */
  place(bytes: Buffer, at: number, offset: number): void {
    bytes.writeUInt32LE(this.#sumOf(bytes, at, offset), at + 4);
  }

  #isHeader(bytes: Buffer, at: number, offset: number): boolean {
    if (bytes.length - at < RECORD_HEADER_BYTES) return false;
    if (bytes.readUInt32LE(at) !== MAGIC) return false;
    return bytes.readUInt32LE(at + 4) === this.#sumOf(bytes, at, offset);
  }

  /** True if there is a header at `at` in `bytes`, of a record that this version cannot read. */
  isOfLaterVersion(bytes: Buffer, at: number, offset: number): boolean {
    if (!this.#isHeader(bytes, at, offset)) return false;
    const flags = bytes[at + FLAGS_AT]!;
    return KINDS[bytes[at + 8]!] === undefined || !KNOWN_FLAGS.includes(flags);
  }

  /** The header at `at` in `bytes`; undefined if it is not valid at `offset` of the volume. */
  read(bytes: Buffer, at: number, offset: number): RecordHeader | undefined {
    if (!this.#isHeader(bytes, at, offset)) return undefined;
    const kind = KINDS[bytes[at + 8]!];
    const flags = bytes[at + FLAGS_AT]!;
    if (kind === undefined || !KNOWN_FLAGS.includes(flags)) return undefined;
    const header: RecordHeader = {
      kind,
      flags,
      nameBytes: bytes.readUInt16LE(at + 10),
      metaBytes: bytes.readUInt32LE(at + 12),
      sequence: readSafe(bytes, at + 16),
      key: bytes.readBigUInt64LE(at + 24),
      bucketId: bytes.readUInt32LE(at + 32),
      labelSum: bytes.readUInt32LE(at + 36),
      bodyBytes: readSafe(bytes, at + 40),
      sizeBytes: readSafe(bytes, at + 48),
      timeMs: readSafe(bytes, at + 56),
    };
    return lengthOfRecord(header) <= MAX_RECORD_BYTES ? header : undefined;
  }
}

/** Name and meta of a record; undefined if they are damaged. */
export function labelOf(
  header: RecordHeader,
  bytes: Buffer,
): { readonly name: Buffer; readonly meta: Buffer } | undefined {
  const end = bodyOffset(header);
  if (bytes.length < end) return undefined;
  if (crc32c(bytes.subarray(RECORD_HEADER_BYTES, end)) !== header.labelSum) return undefined;
  const nameEnd = RECORD_HEADER_BYTES + header.nameBytes;
  return {
    name: bytes.subarray(RECORD_HEADER_BYTES, nameEnd),
    meta: bytes.subarray(nameEnd, end),
  };
}

/**
 * Compares blocks of a body with their checksums. `blocks` starts with block `first`; `table` has
 * the checksums from that block on. Returns the index of the first damaged block, -1 if there is
 * none.
 */
export function firstDamagedBlock(
  blocks: Buffer,
  table: Buffer,
  seed: number,
  first: number,
): number {
  for (let i = 0; i * BLOCK_BYTES < blocks.length; i++) {
    const block = blocks.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES);
    if (table.length < 4 * i + 4 || crc32c(block, seed) !== table.readUInt32LE(4 * i)) {
      return first + i;
    }
  }
  return -1;
}

/** True if a whole record with a known header is undamaged. */
export function isRecordSound(header: RecordHeader, bytes: Buffer): boolean {
  if (bytes.length < lengthOfRecord(header) || labelOf(header, bytes) === undefined) return false;
  const from = bodyOffset(header);
  const end = from + header.bodyBytes;
  const seed = blockSeed(header.sequence, header.key);
  const body = bytes.subarray(from, end);
  if ((header.flags & FLAG_COMPRESSED) === 0) {
    return firstDamagedBlock(body, bytes.subarray(end), seed, 0) === -1;
  }
  const { sizeBytes, bodyBytes } = header;
  const table = BlockTable.read(bytes.subarray(end), { sizeBytes, bodyBytes, seed });
  return table?.isSoundBody(body) === true;
}
