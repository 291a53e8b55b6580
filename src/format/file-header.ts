import { equalBytes, isZero, readSafeU64, viewOf, writeSafeU64 } from '../base/bytes.ts';
import { ChecksumSeed, STORE_ID_BYTES, type FileKind } from './checksum.ts';

export const FILE_HEADER_BYTES = 128;
export const FORMAT_VERSION = 1;

/**
 * The last byte makes the magic, read as the ancestor's u64 frame length, larger than any allocation can
 * be: the ancestor fails on our files instead of taking them for an empty log.
 */
const MAGIC: Record<FileKind, Uint8Array> = {
  log: Uint8Array.of(0x4c, 0x4f, 0x44, 0x45, 0x4c, 0x4f, 0x47, 0xf1),
  snapshot: Uint8Array.of(0x4c, 0x4f, 0x44, 0x45, 0x53, 0x4e, 0x50, 0xf1),
};

/** How the log before ended. All zero at the beginning of a store's life. */
export interface Predecessor {
  readonly number: number;
  /** Bytes up to the end of its seal; of an ancestor's log, up to the end of its last frame. */
  readonly lengthBytes: number;
  readonly lastSequence: bigint;
  /** Header checksum of its last frame; 0 of an ancestor's log. */
  readonly chain: number;
}

/**
 * The header of a log or a snapshot. In a snapshot, `predecessor` is the last log merged into it, whose
 * place it takes in the chain of logs.
 */
export interface FileHeader {
  readonly kind: FileKind;
  readonly storeId: Uint8Array;
  readonly number: number;
  readonly epoch: number;
  readonly predecessor: Predecessor;
  /** The header's own checksum: where the file's chain of frames begins. */
  readonly checksum: number;
}

export type FileHeaderResult =
  | { readonly kind: 'header'; readonly header: FileHeader }
  /** Zeros, or nothing at all. */
  | { readonly kind: 'empty' }
  /** The magic is another one: the ancestor's, or a foreign file. */
  | { readonly kind: 'foreign' }
  | { readonly kind: 'unsupported'; readonly version: number }
  | { readonly kind: 'torn'; readonly reason: string }
  | { readonly kind: 'corrupt'; readonly reason: string };

/** Encodes into the first `FILE_HEADER_BYTES` of `target`; returns the header's checksum. */
export function encodeFileHeader(target: Uint8Array, header: Omit<FileHeader, 'checksum'>): number {
  const bytes = target.subarray(0, FILE_HEADER_BYTES).fill(0);
  const view = viewOf(bytes);
  bytes.set(MAGIC[header.kind]);
  view.setUint32(8, FORMAT_VERSION, true);
  view.setUint32(12, FILE_HEADER_BYTES, true);
  bytes.set(header.storeId, 16);
  writeSafeU64(view, 32, header.number);
  writeSafeU64(view, 40, header.epoch);
  writeSafeU64(view, 48, header.predecessor.number);
  writeSafeU64(view, 56, header.predecessor.lengthBytes);
  view.setBigUint64(64, header.predecessor.lastSequence, true);
  view.setUint32(72, header.predecessor.chain, true);
  const seed = new ChecksumSeed(header.storeId, header.kind, header.number);
  const checksum = seed.checksum(bytes.subarray(0, FILE_HEADER_BYTES - 4), 0);
  view.setUint32(FILE_HEADER_BYTES - 4, checksum, true);
  return checksum;
}

/**
 * Reads the header of a file that its name says is `kind` number `number`. `bytes` are the file's first
 * `FILE_HEADER_BYTES`, or fewer if it is shorter.
 */
export function decodeFileHeader(
  bytes: Uint8Array,
  kind: FileKind,
  number: number,
): FileHeaderResult {
  const head = bytes.subarray(0, FILE_HEADER_BYTES);
  if (isZero(head)) return { kind: 'empty' };
  if (!equalBytes(head.subarray(0, 8), MAGIC[kind].subarray(0, head.length))) {
    return { kind: 'foreign' };
  }
  if (head.length < FILE_HEADER_BYTES) {
    return { kind: 'torn', reason: `the file ends inside its header, after ${head.length} bytes` };
  }
  const view = viewOf(head);
  const storeId = head.slice(16, 16 + STORE_ID_BYTES);
  const checksum = view.getUint32(FILE_HEADER_BYTES - 4, true);
  const version = view.getUint32(8, true);
  const seed = new ChecksumSeed(storeId, kind, number);
  if (seed.checksum(head.subarray(0, FILE_HEADER_BYTES - 4), 0) !== checksum) {
    // A newer version may lay out its header in another way; what a torn write leaves is no version.
    return version > FORMAT_VERSION && version < 1024
      ? { kind: 'unsupported', version }
      : { kind: 'torn', reason: 'the file header does not match its checksum' };
  }
  if (version !== FORMAT_VERSION) return { kind: 'unsupported', version };
  const fields = {
    number: readSafeU64(view, 32),
    epoch: readSafeU64(view, 40),
    previous: readSafeU64(view, 48),
    lengthBytes: readSafeU64(view, 56),
  };
  if (fields.number !== number || fields.epoch < 0 || fields.previous < 0) {
    return { kind: 'corrupt', reason: 'a field of the file header is out of its range' };
  }
  if (fields.lengthBytes < 0 || view.getUint32(12, true) !== FILE_HEADER_BYTES) {
    return { kind: 'corrupt', reason: 'a length in the file header is out of its range' };
  }
  const predecessor = {
    number: fields.previous,
    lengthBytes: fields.lengthBytes,
    lastSequence: view.getBigUint64(64, true),
    chain: view.getUint32(72, true),
  };
  return {
    kind: 'header',
    header: { kind, storeId, number, epoch: fields.epoch, predecessor, checksum },
  };
}
