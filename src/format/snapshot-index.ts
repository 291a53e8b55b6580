import { equalBytes, isZero, readSafeU64, viewOf, writeSafeU64 } from '../base/bytes.ts';
import { MAX_FRAME_PAYLOAD_BYTES } from '../base/limits.ts';
import type { ChecksumSeed } from './checksum.ts';
import { FILE_HEADER_BYTES } from './file-header.ts';
import { FRAME_HEADER_BYTES } from './frame.ts';

/** Position and key range of a chunk. The index has one entry per chunk, in key order. */
export interface IndexEntry {
  /**
   * Offset of the chunk's frame in the file. `lengthBytes` is the frame's length including its
   * header.
   */
  readonly offset: number;
  readonly lengthBytes: number;
  readonly recordCount: number;
  readonly firstKey: bigint;
  readonly lastKey: bigint;
  /** Checksum of the chunk's frame header. */
  readonly checksum: number;
  /** Bytes of data in the chunk's records. */
  readonly dataBytes: number;
}

export interface SnapshotTotals {
  readonly recordCount: number;
  readonly dataBytes: number;
  /** Undefined for snapshots of version 1. */
  readonly contentHash?: bigint | undefined;
}

export interface SnapshotIndex {
  readonly entries: readonly IndexEntry[];
  readonly totals: SnapshotTotals;
}

const ENTRY_BYTES = 40;
/** Totals: records u64, data bytes u64, content hash u128 (zero in version 1). */
const TOTALS_BYTES = 32;
const HASH_VERSION = 2;

export const TRAILER_BYTES = 48;
const TRAILER_MAGIC = Uint8Array.of(0x4c, 0x4f, 0x44, 0x45, 0x45, 0x4e, 0x44, 0xf1);

export function indexBytes(chunkCount: number): number {
  return chunkCount * ENTRY_BYTES + TOTALS_BYTES;
}

/** Encodes the index frame's payload. */
export function encodeIndex(index: SnapshotIndex): Uint8Array {
  const bytes = new Uint8Array(indexBytes(index.entries.length));
  const view = viewOf(bytes);
  let offset = 0;
  for (const entry of index.entries) {
    writeSafeU64(view, offset, entry.offset);
    view.setUint32(offset + 8, entry.lengthBytes, true);
    view.setUint32(offset + 12, entry.recordCount, true);
    view.setBigUint64(offset + 16, entry.firstKey, true);
    view.setBigUint64(offset + 24, entry.lastKey, true);
    view.setUint32(offset + 32, entry.checksum, true);
    view.setUint32(offset + 36, entry.dataBytes, true);
    offset += ENTRY_BYTES;
  }
  writeSafeU64(view, offset, index.totals.recordCount);
  writeSafeU64(view, offset + 8, index.totals.dataBytes);
  const contentHash = index.totals.contentHash ?? 0n;
  view.setBigUint64(offset + 16, BigInt.asUintN(64, contentHash), true);
  view.setBigUint64(offset + 24, contentHash >> 64n, true);
  return bytes;
}

/**
 * Decodes the payload of the index frame, whose position is `indexOffset`, of a snapshot of
 * `version`. Returns the reason as a string unless the chunks are contiguous from the file header
 * to the index, in key order, and match the totals.
 */
export function decodeIndex(
  payload: Uint8Array,
  chunkCount: number,
  indexOffset: number,
  version: number,
): SnapshotIndex | string {
  if (payload.length !== indexBytes(chunkCount))
    return 'the length of the index does not match its count';
  const view = viewOf(payload);
  const entries: IndexEntry[] = [];
  let nextOffset = FILE_HEADER_BYTES;
  let nextKey = 0n;
  let records = 0;
  let data = 0;
  for (let i = 0; i < chunkCount; i++) {
    const at = i * ENTRY_BYTES;
    const entry: IndexEntry = {
      offset: readSafeU64(view, at),
      lengthBytes: view.getUint32(at + 8, true),
      recordCount: view.getUint32(at + 12, true),
      firstKey: view.getBigUint64(at + 16, true),
      lastKey: view.getBigUint64(at + 24, true),
      checksum: view.getUint32(at + 32, true),
      dataBytes: view.getUint32(at + 36, true),
    };
    if (entry.offset !== nextOffset || entry.lengthBytes < FRAME_HEADER_BYTES) {
      return `chunk ${i} does not start where the preceding one ends`;
    }
    if (entry.lengthBytes > FRAME_HEADER_BYTES + MAX_FRAME_PAYLOAD_BYTES) {
      return `chunk ${i} is longer than the limit of a frame`;
    }
    if (entry.firstKey < nextKey || entry.lastKey < entry.firstKey || entry.recordCount === 0) {
      return `chunk ${i} is not in key order`;
    }
    entries.push(entry);
    nextOffset += entry.lengthBytes;
    nextKey = entry.lastKey + 1n;
    records += entry.recordCount;
    data += entry.dataBytes;
  }
  if (nextOffset !== indexOffset) return 'the chunks do not reach up to the index';
  const totals = decodeTotals(payload.subarray(chunkCount * ENTRY_BYTES), version);
  if (typeof totals === 'string') return totals;
  const isSum = totals.recordCount === records && totals.dataBytes === data;
  return isSum ? { entries, totals } : 'the totals do not match the chunks';
}

function decodeTotals(bytes: Uint8Array, version: number): SnapshotTotals | string {
  const view = viewOf(bytes);
  const recordCount = readSafeU64(view, 0);
  const dataBytes = readSafeU64(view, 8);
  if (version < HASH_VERSION) {
    return isZero(bytes, 16)
      ? { recordCount, dataBytes }
      : 'a reserved byte of the index is not zero';
  }
  const contentHash = (view.getBigUint64(24, true) << 64n) | view.getBigUint64(16, true);
  if (recordCount === 0 && contentHash !== 0n) return 'the index has a content hash but no records';
  return { recordCount, dataBytes, contentHash };
}

/** The fixed-length end of a snapshot: the position of its index and the checksums of its ends. */
export interface Trailer {
  readonly indexOffset: number;
  readonly chunkCount: number;
  readonly recordCount: number;
  /** Length of the whole file. */
  readonly fileBytes: number;
  /** Header checksum of the index frame. */
  readonly chain: number;
  /** Checksum of the file header: binds the start of the file to its end. */
  readonly headerChecksum: number;
}

export function encodeTrailer(trailer: Trailer, seed: ChecksumSeed): Uint8Array {
  const bytes = new Uint8Array(TRAILER_BYTES);
  const view = viewOf(bytes);
  bytes.set(TRAILER_MAGIC);
  writeSafeU64(view, 8, trailer.indexOffset);
  writeSafeU64(view, 16, trailer.recordCount);
  writeSafeU64(view, 24, trailer.fileBytes);
  view.setUint32(32, trailer.chunkCount, true);
  view.setUint32(36, trailer.chain, true);
  view.setUint32(40, trailer.headerChecksum, true);
  const covered = bytes.subarray(0, TRAILER_BYTES - 4);
  view.setUint32(
    TRAILER_BYTES - 4,
    seed.checksum(covered, trailer.fileBytes - TRAILER_BYTES),
    true,
  );
  return bytes;
}

/**
 * Decodes the last `TRAILER_BYTES` of a file of `fileBytes`. Returns the reason as a string if they
 * are invalid.
 */
export function decodeTrailer(
  bytes: Uint8Array,
  seed: ChecksumSeed,
  fileBytes: number,
): Trailer | string {
  if (bytes.length !== TRAILER_BYTES) return 'the file is too short for a trailer';
  if (!equalBytes(bytes.subarray(0, 8), TRAILER_MAGIC)) return 'there is no trailer at the end';
  const view = viewOf(bytes);
  const covered = bytes.subarray(0, TRAILER_BYTES - 4);
  const checksum = view.getUint32(TRAILER_BYTES - 4, true);
  if (seed.checksum(covered, fileBytes - TRAILER_BYTES) !== checksum) {
    return 'the trailer does not match its checksum';
  }
  const trailer: Trailer = {
    indexOffset: readSafeU64(view, 8),
    recordCount: readSafeU64(view, 16),
    fileBytes: readSafeU64(view, 24),
    chunkCount: view.getUint32(32, true),
    chain: view.getUint32(36, true),
    headerChecksum: view.getUint32(40, true),
  };
  if (trailer.fileBytes !== fileBytes) return 'the trailer records another file length';
  const indexEnd = fileBytes - TRAILER_BYTES;
  const indexFits =
    trailer.indexOffset >= FILE_HEADER_BYTES &&
    trailer.indexOffset + FRAME_HEADER_BYTES <= indexEnd &&
    indexEnd - trailer.indexOffset <= FRAME_HEADER_BYTES + MAX_FRAME_PAYLOAD_BYTES &&
    trailer.recordCount >= 0;
  return indexFits ? trailer : 'the trailer does not point to an index';
}
