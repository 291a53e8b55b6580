import { assert } from '../base/assert.ts';
import { equalBytes, isZero, readSafeU64, viewOf, writeSafeU64 } from '../base/bytes.ts';
import { MAX_FILE_NUMBER } from '../base/limits.ts';
import { ChecksumSeed, STORE_ID_BYTES, type FileKind } from './checksum.ts';
import type { RowKinds } from './group-rows.ts';

export const FILE_HEADER_BYTES = 128;

/**
 * The version that is written. Snapshots of version 1 have no content hash. In logs of version 1, a
 * group was written only after everything before it was synced.
 */
export const WRITTEN_VERSION: Record<FileKind, number> = { log: 2, snapshot: 2 };

/** Of a log that holds deletes of intervals of keys. */
export const INTERVAL_VERSION = 3;

/** The newest version that is read. */
export const READ_VERSION: Record<FileKind, number> = { log: INTERVAL_VERSION, snapshot: 2 };

/** Version of the logs, and of the entries of shared logs, that hold such groups. */
export function logVersionFor(hasIntervals: boolean): number {
  return hasIntervals ? INTERVAL_VERSION : WRITTEN_VERSION.log;
}

/** The kinds of rows that logs of a version may hold. */
export function rowKindsOf(logVersion: number): RowKinds {
  return logVersion >= INTERVAL_VERSION ? 'with-intervals' : 'single';
}

/**
 * The ancestor reads a magic as the u64 length of a frame. The last byte makes that length larger
 * than any possible allocation, so the ancestor fails on these files instead of reading an empty
 * log.
 */
const MAGIC: Record<FileKind, Uint8Array> = {
  log: Uint8Array.of(0x4c, 0x4f, 0x44, 0x45, 0x4c, 0x4f, 0x47, 0xf1),
  snapshot: Uint8Array.of(0x4c, 0x4f, 0x44, 0x45, 0x53, 0x4e, 0x50, 0xf1),
};

/** How the previous log ended. All fields are zero in the first log of a store. */
export interface Predecessor {
  readonly number: number;
  /** Bytes up to the end of its seal. For an ancestor's log: up to the end of its last frame. */
  readonly lengthBytes: number;
  readonly lastSequence: bigint;
  /** Header checksum of its last frame. 0 for an ancestor's log. */
  readonly chain: number;
}

/**
 * The header of a log or a snapshot. In a snapshot, `predecessor` is the last log merged into it:
 * the snapshot replaces that log in the chain of logs.
 */
export interface FileHeader {
  readonly kind: FileKind;
  readonly version: number;
  readonly storeId: Uint8Array;
  readonly number: number;
  readonly epoch: number;
  readonly predecessor: Predecessor;
  /** The header's own checksum: the first frame's chain value. */
  readonly checksum: number;
}

export type FileHeaderResult =
  | { readonly kind: 'header'; readonly header: FileHeader }
  /** Only zeros, or no bytes. */
  | { readonly kind: 'empty' }
  /** The magic is not ours: the ancestor's file, or a foreign one. */
  | { readonly kind: 'foreign' }
  | { readonly kind: 'unsupported'; readonly version: number }
  /** The result of a torn write, or of damage. */
  | { readonly kind: 'torn'; readonly reason: string }
  /** The checksum is valid, but the header is wrong for this file. No torn write leaves this. */
  | { readonly kind: 'corrupt'; readonly reason: string };

/** Of the store's id. All versions have it there. */
export const STORE_ID_OFFSET = 16;

const RESERVED_OFFSET = 76;
const CHECKSUM_OFFSET: number = FILE_HEADER_BYTES - 4;

/**
 * The epoch of the open after one with `epoch`. The maximum, which only a forged file has, is
 * repeated.
 */
export function nextEpoch(epoch: number): number {
  return Math.min(epoch + 1, MAX_FILE_NUMBER);
}

/** The fields that a writer chooses. The version and the checksum are computed. */
export type NewFileHeader = Omit<FileHeader, 'checksum' | 'version'>;

/**
 * Encodes into the first `FILE_HEADER_BYTES` of `target` and returns the header's checksum.
 * `version` differs from the default if the log holds deletes of intervals, or if the header was
 * decoded from an old file.
 */
export function encodeFileHeader(
  target: Uint8Array,
  header: NewFileHeader,
  version: number = WRITTEN_VERSION[header.kind],
): number {
  const bytes = target.subarray(0, FILE_HEADER_BYTES).fill(0);
  const view = viewOf(bytes);
  bytes.set(MAGIC[header.kind]);
  view.setUint32(8, version, true);
  view.setUint32(12, FILE_HEADER_BYTES, true);
  bytes.set(header.storeId, STORE_ID_OFFSET);
  writeSafeU64(view, 32, header.number);
  assert(isFileNumber(header.number) && isFileNumber(header.epoch), 'a reader accepts the header');
  writeSafeU64(view, 40, header.epoch);
  writeSafeU64(view, 48, header.predecessor.number);
  writeSafeU64(view, 56, header.predecessor.lengthBytes);
  view.setBigUint64(64, header.predecessor.lastSequence, true);
  view.setUint32(72, header.predecessor.chain, true);
  const seed = new ChecksumSeed(header.storeId, header.kind, header.number);
  const checksum = seed.checksum(bytes.subarray(0, CHECKSUM_OFFSET), 0);
  view.setUint32(CHECKSUM_OFFSET, checksum, true);
  return checksum;
}

/**
 * Decodes the header of a file that is named as `kind` number `number`. `bytes` are the file's
 * first `FILE_HEADER_BYTES`, or all bytes of a shorter file.
 */
export function decodeFileHeader(
  bytes: Uint8Array,
  kind: FileKind,
  number: number,
): FileHeaderResult {
  const head = bytes.subarray(0, FILE_HEADER_BYTES);
  if (isZero(head)) return { kind: 'empty' };
  if (!equalBytes(head.subarray(0, 8), MAGIC[kind].subarray(0, head.length))) {
    return isCutMagic(head, MAGIC[kind])
      ? { kind: 'torn', reason: 'the file ends inside the magic of its header' }
      : { kind: 'foreign' };
  }
  if (head.length < FILE_HEADER_BYTES) {
    return { kind: 'torn', reason: `the file ends inside its header, after ${head.length} bytes` };
  }
  const view = viewOf(head);
  if (!isSeededWith(head, kind, number)) {
    const declared = readSafeU64(view, 32);
    return declared >= 0 && declared !== number && isSeededWith(head, kind, declared)
      ? { kind: 'corrupt', reason: `the file header is that of ${kind} ${declared}` }
      : { kind: 'torn', reason: 'the file header does not match its checksum' };
  }
  // All versions have magic, version, store id, number and checksum at the same offsets.
  const version = view.getUint32(8, true);
  if (version < 1 || version > READ_VERSION[kind]) return { kind: 'unsupported', version };
  const header = fieldsOf(view, head, kind);
  const reason = rangeBroken(header, view, number);
  return reason === undefined ? { kind: 'header', header } : { kind: 'corrupt', reason };
}

/**
 * Decodes a header without regard to the file's name: the kind and number are those that the header
 * declares. Undefined unless its checksum is valid and its version supported.
 */
export function identifyFileHeader(bytes: Uint8Array): FileHeader | undefined {
  const result = identify(bytes);
  return result?.kind === 'header' ? result.header : undefined;
}

/** The version of a header with a valid checksum, if it is one that is not read. */
export function unsupportedVersionOf(bytes: Uint8Array): number | undefined {
  const result = identify(bytes);
  return result?.kind === 'unsupported' ? result.version : undefined;
}

function identify(
  bytes: Uint8Array,
): Extract<FileHeaderResult, { kind: 'header' | 'unsupported' }> | undefined {
  if (bytes.length < FILE_HEADER_BYTES) return undefined;
  const number = readSafeU64(viewOf(bytes), 32);
  if (!isFileNumber(number)) return undefined;
  for (const kind of ['log', 'snapshot'] as const) {
    const result = decodeFileHeader(bytes, kind, number);
    if (result.kind === 'header' || result.kind === 'unsupported') return result;
  }
  return undefined;
}

/** A prefix of the magic, then only zeros: a write that was cut inside the magic. */
function isCutMagic(head: Uint8Array, magic: Uint8Array): boolean {
  let equal = 0;
  while (equal < magic.length && head[equal] === magic[equal]) equal++;
  return equal > 0 && isZero(head, equal);
}

function storeIdIn(head: Uint8Array): Uint8Array {
  return head.subarray(STORE_ID_OFFSET, STORE_ID_OFFSET + STORE_ID_BYTES);
}

function isSeededWith(head: Uint8Array, kind: FileKind, number: number): boolean {
  const seed = new ChecksumSeed(storeIdIn(head), kind, number);
  const checksum = viewOf(head).getUint32(CHECKSUM_OFFSET, true);
  return seed.checksum(head.subarray(0, CHECKSUM_OFFSET), 0) === checksum;
}

function fieldsOf(view: DataView, head: Uint8Array, kind: FileKind): FileHeader {
  const predecessor = {
    number: readSafeU64(view, 48),
    lengthBytes: readSafeU64(view, 56),
    lastSequence: view.getBigUint64(64, true),
    chain: view.getUint32(72, true),
  };
  return {
    kind,
    version: view.getUint32(8, true),
    storeId: storeIdIn(head).slice(),
    number: readSafeU64(view, 32),
    epoch: readSafeU64(view, 40),
    predecessor,
    checksum: view.getUint32(CHECKSUM_OFFSET, true),
  };
}

function isFileNumber(value: number): boolean {
  return value >= 0 && value <= MAX_FILE_NUMBER;
}

function rangeBroken(header: FileHeader, view: DataView, number: number): string | undefined {
  const { predecessor } = header;
  if (header.number !== number) return `the file header is that of ${header.kind} ${header.number}`;
  if (!isFileNumber(header.epoch)) return 'the epoch in the file header is out of range';
  if (!isFileNumber(predecessor.number) || predecessor.lengthBytes < 0) {
    return 'the predecessor in the file header is out of range';
  }
  if (header.kind === 'snapshot' && predecessor.number !== number) {
    return 'the snapshot is named after another log than the last one merged into it';
  }
  if (view.getUint32(12, true) !== FILE_HEADER_BYTES) return 'the file header has a wrong length';
  for (let at = RESERVED_OFFSET; at < CHECKSUM_OFFSET; at++) {
    if (view.getUint8(at) !== 0) return 'a reserved byte of the file header is not zero';
  }
  return undefined;
}
