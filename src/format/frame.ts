import { assert } from '../base/assert.ts';
import { isZero, viewOf } from '../base/bytes.ts';
import { MAX_FRAME_DECODED_BYTES, MAX_FRAME_PAYLOAD_BYTES } from '../base/limits.ts';
import type { ChecksumSeed } from './checksum.ts';
import { CODEC_RAW, CODEC_ZSTD, decompressInto } from './compression.ts';
import type { Scratch } from './scratch.ts';

export const FRAME_HEADER_BYTES = 48;
export const FRAME_MAGIC: Uint8Array = Uint8Array.of(0xb5, 0x4c, 0x53, 0x46);

const UNPROVEN_OFFSET = 40;

export const FRAME_BATCHES = 1;
export const FRAME_SEAL = 2;
export const FRAME_CHUNK = 3;
export const FRAME_INDEX = 4;

/**
 * Flag of a seal that was written together with the preceding group, before the acknowledgement of
 * that group.
 */
export const FLAG_PIGGYBACKED = 1;

/**
 * A frame's header. The counts depend on the kind:
 * - batches: `sequence` of the first batch, number of batches, number of records
 * - seal: `sequence` of the last batch in the log, `recordCount` = frames before the seal
 * - chunk: `sequence` = ordinal of the chunk, `recordCount` = its records
 * - index: `sequence` = number of chunks, `recordCount` = 0
 */
export interface FrameHeader {
  readonly kind: number;
  readonly codec: number;
  readonly flags: number;
  readonly payloadBytes: number;
  readonly decodedBytes: number;
  readonly sequence: bigint;
  readonly batchCount: number;
  readonly recordCount: number;
  /** Header checksum of the previous frame, or the file header's checksum. */
  readonly chain: number;
  readonly payloadChecksum: number;
  /**
   * For groups: the number of preceding bytes of the log that were not known to be synced when this
   * frame was written. The frame proves that all bytes before those were synced.
   */
  readonly unprovenBytes: number;
  /** This header's own checksum: the next frame's chain value. */
  readonly checksum: number;
}

/** The fields that a writer chooses. The checksums are computed. */
export type FrameFields = Omit<FrameHeader, 'payloadChecksum' | 'checksum' | 'unprovenBytes'> & {
  readonly unprovenBytes?: number | undefined;
};

export type FrameHeaderResult =
  | { readonly kind: 'frame'; readonly header: FrameHeader }
  /** Only zeros at the place of a header. */
  | { readonly kind: 'end' }
  /** Fewer bytes than a header, or bytes that are not one. */
  | { readonly kind: 'torn'; readonly reason: string }
  /** The checksum is valid, but the fields are not. No torn write leaves this. */
  | { readonly kind: 'corrupt'; readonly reason: string };

/**
 * Encodes a header at `offset` of `target`. Its payload must follow it there. The frame's position
 * in the file is `fileOffset`. Returns the header's checksum.
 */
export function encodeFrame(
  target: Uint8Array,
  offset: number,
  fields: FrameFields,
  seed: ChecksumSeed,
  fileOffset: number,
): number {
  assert(fields.payloadBytes <= MAX_FRAME_PAYLOAD_BYTES, 'a payload is within its bound');
  assert(fields.decodedBytes <= MAX_FRAME_DECODED_BYTES, 'a decoded payload is within its bound');
  const header = target.subarray(offset, offset + FRAME_HEADER_BYTES);
  const payload = target.subarray(
    offset + FRAME_HEADER_BYTES,
    offset + FRAME_HEADER_BYTES + fields.payloadBytes,
  );
  const view = viewOf(header);
  header.set(FRAME_MAGIC);
  header[4] = fields.kind;
  header[5] = fields.codec;
  view.setUint16(6, fields.flags, true);
  view.setUint32(8, fields.payloadBytes, true);
  view.setUint32(12, fields.decodedBytes, true);
  view.setBigUint64(16, fields.sequence, true);
  view.setUint32(24, fields.batchCount, true);
  view.setUint32(28, fields.recordCount, true);
  view.setUint32(32, fields.chain, true);
  view.setUint32(36, seed.checksum(payload, fileOffset + FRAME_HEADER_BYTES), true);
  view.setUint32(UNPROVEN_OFFSET, fields.unprovenBytes ?? 0, true);
  const checksum = seed.checksum(header.subarray(0, FRAME_HEADER_BYTES - 4), fileOffset);
  view.setUint32(FRAME_HEADER_BYTES - 4, checksum, true);
  return checksum;
}

/** The payload behind a header that was just encoded at `offset`, and how it is stored. */
export function encodedPayload(
  bytes: Uint8Array,
  offset: number,
): { readonly codec: number; readonly payload: Uint8Array } {
  const payloadBytes = viewOf(bytes).getUint32(offset + 8, true);
  const start = offset + FRAME_HEADER_BYTES;
  return { codec: bytes[offset + 5]!, payload: bytes.subarray(start, start + payloadBytes) };
}

/** Whether a header of this file is at `offset`: its magic and its checksum are valid. */
export function isFrameHeader(
  bytes: Uint8Array,
  offset: number,
  seed: ChecksumSeed,
  fileOffset: number,
): boolean {
  if (offset + FRAME_HEADER_BYTES > bytes.length) return false;
  for (let i = 0; i < FRAME_MAGIC.length; i++) {
    if (bytes[offset + i] !== FRAME_MAGIC[i]) return false;
  }
  const covered = bytes.subarray(offset, offset + FRAME_HEADER_BYTES - 4);
  const view = viewOf(bytes);
  return (
    seed.checksum(covered, fileOffset) === view.getUint32(offset + FRAME_HEADER_BYTES - 4, true)
  );
}

/** Decodes the header at `offset` of `bytes`, whose position in the file is `fileOffset`. */
export function decodeFrameHeader(
  bytes: Uint8Array,
  offset: number,
  seed: ChecksumSeed,
  fileOffset: number,
): FrameHeaderResult {
  const end = Math.min(bytes.length, offset + FRAME_HEADER_BYTES);
  if (isZero(bytes, offset, end)) return { kind: 'end' };
  if (end - offset < FRAME_HEADER_BYTES) {
    return { kind: 'torn', reason: 'the file ends inside a frame header' };
  }
  if (!isFrameHeader(bytes, offset, seed, fileOffset)) {
    return { kind: 'torn', reason: 'the frame header does not match its checksum' };
  }
  const view = viewOf(bytes);
  const header: FrameHeader = {
    kind: bytes[offset + 4]!,
    codec: bytes[offset + 5]!,
    flags: view.getUint16(offset + 6, true),
    payloadBytes: view.getUint32(offset + 8, true),
    decodedBytes: view.getUint32(offset + 12, true),
    sequence: view.getBigUint64(offset + 16, true),
    batchCount: view.getUint32(offset + 24, true),
    recordCount: view.getUint32(offset + 28, true),
    chain: view.getUint32(offset + 32, true),
    payloadChecksum: view.getUint32(offset + 36, true),
    unprovenBytes: view.getUint32(offset + UNPROVEN_OFFSET, true),
    checksum: view.getUint32(offset + FRAME_HEADER_BYTES - 4, true),
  };
  const reason = boundBroken(header) ?? kindBroken(header) ?? proofBroken(header, fileOffset);
  return reason === undefined ? { kind: 'frame', header } : { kind: 'corrupt', reason };
}

function boundBroken(header: FrameHeader): string | undefined {
  if (header.kind < FRAME_BATCHES || header.kind > FRAME_INDEX) {
    return `the frame kind ${header.kind} is unknown`;
  }
  if (header.codec !== CODEC_RAW && header.codec !== CODEC_ZSTD) {
    return `the codec ${header.codec} is unknown`;
  }
  if (header.payloadBytes > MAX_FRAME_PAYLOAD_BYTES) {
    return `a payload of ${header.payloadBytes} bytes is over the limit`;
  }
  if (header.decodedBytes > MAX_FRAME_DECODED_BYTES) {
    return `a decoded payload of ${header.decodedBytes} bytes is over the limit`;
  }
  if (header.codec === CODEC_RAW && header.payloadBytes !== header.decodedBytes) {
    return 'a raw payload has two lengths';
  }
  return undefined;
}

/** Checks that fields unused by the kind are zero, and that required counts are not. */
function kindBroken(header: FrameHeader): string | undefined {
  const { kind, batchCount, recordCount } = header;
  if (header.flags !== 0 && (kind !== FRAME_SEAL || header.flags !== FLAG_PIGGYBACKED)) {
    return `the flags ${header.flags} are unknown`;
  }
  if ((kind === FRAME_BATCHES) !== batchCount > 0) {
    return `a frame of kind ${kind} counts ${batchCount} batches`;
  }
  if (kind === FRAME_SEAL && (header.codec !== CODEC_RAW || header.payloadBytes !== 0)) {
    return 'a seal has a payload';
  }
  if (kind === FRAME_CHUNK && recordCount === 0) return 'a chunk counts no records';
  if (kind === FRAME_INDEX && recordCount !== 0) return 'an index frame counts records';
  return undefined;
}

/** Only groups may have unproven bytes, and not more than there are before the frame. */
function proofBroken(header: FrameHeader, fileOffset: number): string | undefined {
  if (header.unprovenBytes === 0) return undefined;
  if (header.kind !== FRAME_BATCHES) return 'a reserved byte of the frame header is not zero';
  return header.unprovenBytes > fileOffset
    ? `${header.unprovenBytes} bytes before the frame are recorded as unproven, but only ${fileOffset} exist`
    : undefined;
}

export type PayloadResult =
  | { readonly kind: 'payload'; readonly bytes: Uint8Array }
  /** Not the bytes that were written: the result of a torn write, or of damage. */
  | { readonly kind: 'torn'; readonly reason: string }
  /** The checksum is valid, but the payload does not decode. No torn write leaves this. */
  | { readonly kind: 'corrupt'; readonly reason: string };

/**
 * Checks and decodes the payload of `header`, whose position in the file is `fileOffset`. A raw
 * payload is returned as the given view. A compressed one is decoded into `scratch`, or into new
 * memory without it.
 */
export function decodePayload(
  payload: Uint8Array,
  header: FrameHeader,
  seed: ChecksumSeed,
  fileOffset: number,
  scratch?: Scratch,
): PayloadResult {
  assert(payload.length === header.payloadBytes, 'the payload is as long as its header says');
  if (seed.checksum(payload, fileOffset) !== header.payloadChecksum) {
    return { kind: 'torn', reason: 'the payload does not match its checksum' };
  }
  if (header.codec === CODEC_RAW) return { kind: 'payload', bytes: payload };
  const { decodedBytes } = header;
  const decoded = scratch?.take(decodedBytes) ?? new Uint8Array(decodedBytes);
  return decompressInto(decoded, payload)
    ? { kind: 'payload', bytes: decoded }
    : { kind: 'corrupt', reason: 'the payload does not decompress to the length in its header' };
}
