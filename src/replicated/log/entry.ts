import { assert } from '../../base/assert.ts';
import { viewOf } from '../../base/bytes.ts';
import { MAX_FRAME_DECODED_BYTES, MAX_FRAME_PAYLOAD_BYTES } from '../../base/limits.ts';
import { CODEC_RAW, CODEC_ZSTD } from '../../format/compression.ts';
import { crc32c } from '../../format/crc.ts';

export const ENTRY_HEADER_BYTES = 84;
export const LOG_ID_BYTES = 16;
export const NONCE_BYTES = 16;

const ENTRY_MAGIC: Uint8Array = Uint8Array.of(0xb5, 0x4c, 0x53, 0x45);
const ENTRY_VERSION = 1;

const VERSION_OFFSET = 4;
const KIND_OFFSET = 5;
const CODEC_OFFSET = 6;
const ROWS_VERSION_OFFSET = 7;
const LOG_ID_OFFSET = 8;
const EPOCH_OFFSET = 24;
const FIRST_SEQUENCE_OFFSET = 32;
const BATCH_COUNT_OFFSET = 40;
const RECORD_COUNT_OFFSET = 44;
const DECODED_BYTES_OFFSET = 48;
const PAYLOAD_BYTES_OFFSET = 52;
const PIECE_OFFSET_OFFSET = 56;
const PREVIOUS_OFFSET = 60;
const NONCE_OFFSET = 64;
const CHECKSUM_OFFSET = 80;

/**
 * - `batches`: a group, or a piece of one.
 * - `takeover`: a node became the primary; the payload is the address that it announces.
 * - `barrier`: no effect; its position proves that its writer was the primary.
 */
export type EntryKind = 'batches' | 'takeover' | 'barrier';

const KIND_BYTES: Readonly<Record<EntryKind, number>> = { batches: 1, takeover: 2, barrier: 3 };

/** An entry of the shared log, without its checksum. docs/FORMAT.md specifies the bytes. */
export interface EntryFields {
  readonly kind: EntryKind;
  readonly codec: number;
  /** Format version of the logs that these rows belong to; 0 in entries without rows. */
  readonly rowsVersion: number;
  readonly logId: Uint8Array;
  readonly epoch: bigint;
  /** `batches`: the sequence of the group's first batch. Other kinds: of the next batch. */
  readonly firstSequence: bigint;
  readonly batchCount: number;
  readonly recordCount: number;
  readonly decodedBytes: number;
  /** Length in bytes of the whole payload, of which this entry has a piece. */
  readonly payloadBytes: number;
  /** Offset of the piece in the payload. */
  readonly pieceOffset: number;
  /** Checksum of the preceding entry; 0 at position 1. */
  readonly previous: number;
  /** Random; the same in all pieces of a group. */
  readonly nonce: Uint8Array;
  readonly piece: Uint8Array;
}

/** An entry that was read. */
export interface SharedEntry extends EntryFields {
  readonly checksum: number;
}

/** Encodes an entry. Its checksum is `checksumOfEntry` of the result. */
export function encodeEntry(fields: EntryFields): Uint8Array {
  assert(fields.logId.length === LOG_ID_BYTES, 'a log id has 16 bytes');
  assert(fields.nonce.length === NONCE_BYTES, 'a nonce has 16 bytes');
  const bytes = new Uint8Array(ENTRY_HEADER_BYTES + fields.piece.length);
  const view = viewOf(bytes);
  bytes.set(ENTRY_MAGIC);
  bytes[VERSION_OFFSET] = ENTRY_VERSION;
  bytes[KIND_OFFSET] = KIND_BYTES[fields.kind];
  bytes[CODEC_OFFSET] = fields.codec;
  bytes[ROWS_VERSION_OFFSET] = fields.rowsVersion;
  bytes.set(fields.logId, LOG_ID_OFFSET);
  view.setBigUint64(EPOCH_OFFSET, fields.epoch, true);
  view.setBigUint64(FIRST_SEQUENCE_OFFSET, fields.firstSequence, true);
  view.setUint32(BATCH_COUNT_OFFSET, fields.batchCount, true);
  view.setUint32(RECORD_COUNT_OFFSET, fields.recordCount, true);
  view.setUint32(DECODED_BYTES_OFFSET, fields.decodedBytes, true);
  view.setUint32(PAYLOAD_BYTES_OFFSET, fields.payloadBytes, true);
  view.setUint32(PIECE_OFFSET_OFFSET, fields.pieceOffset, true);
  view.setUint32(PREVIOUS_OFFSET, fields.previous, true);
  bytes.set(fields.nonce, NONCE_OFFSET);
  bytes.set(fields.piece, ENTRY_HEADER_BYTES);
  view.setUint32(CHECKSUM_OFFSET, computeChecksum(bytes), true);
  return bytes;
}

/** The checksum of an encoded entry, which is the next entry's `previous`. */
export function checksumOfEntry(entry: Uint8Array): number {
  return viewOf(entry).getUint32(CHECKSUM_OFFSET, true);
}

/** Covers all bytes except the checksum itself. */
function computeChecksum(entry: Uint8Array): number {
  return crc32c(entry.subarray(ENTRY_HEADER_BYTES), crc32c(entry.subarray(0, CHECKSUM_OFFSET)));
}

/** An entry of a newer format version than this build supports. */
export interface NewerEntry {
  readonly kind: 'newer';
  readonly version: number;
}

/**
 * Decodes an entry. A string is the reason why the bytes are no entry. The result refers to
 * `bytes`.
 */
export function decodeEntry(bytes: Uint8Array): SharedEntry | NewerEntry | string {
  if (bytes.length < ENTRY_HEADER_BYTES) return 'the entry is shorter than its header';
  if (ENTRY_MAGIC.some((byte, i) => bytes[i] !== byte)) return 'the entry is not of lodestore';
  const view = viewOf(bytes);
  const checksum = view.getUint32(CHECKSUM_OFFSET, true);
  if (computeChecksum(bytes) !== checksum) return 'the entry does not match its checksum';
  const version = bytes[VERSION_OFFSET]!;
  if (version !== ENTRY_VERSION) return { kind: 'newer', version };
  const kind = (Object.keys(KIND_BYTES) as EntryKind[]).find(
    (one) => KIND_BYTES[one] === bytes[KIND_OFFSET],
  );
  if (kind === undefined) return `entry kind ${bytes[KIND_OFFSET]} is not known`;
  const entry: SharedEntry = {
    kind,
    codec: bytes[CODEC_OFFSET]!,
    rowsVersion: bytes[ROWS_VERSION_OFFSET]!,
    logId: bytes.subarray(LOG_ID_OFFSET, LOG_ID_OFFSET + LOG_ID_BYTES),
    epoch: view.getBigUint64(EPOCH_OFFSET, true),
    firstSequence: view.getBigUint64(FIRST_SEQUENCE_OFFSET, true),
    batchCount: view.getUint32(BATCH_COUNT_OFFSET, true),
    recordCount: view.getUint32(RECORD_COUNT_OFFSET, true),
    decodedBytes: view.getUint32(DECODED_BYTES_OFFSET, true),
    payloadBytes: view.getUint32(PAYLOAD_BYTES_OFFSET, true),
    pieceOffset: view.getUint32(PIECE_OFFSET_OFFSET, true),
    previous: view.getUint32(PREVIOUS_OFFSET, true),
    nonce: bytes.subarray(NONCE_OFFSET, NONCE_OFFSET + NONCE_BYTES),
    piece: bytes.subarray(ENTRY_HEADER_BYTES),
    checksum,
  };
  return brokenBound(entry) ?? entry;
}

function brokenBound(entry: SharedEntry): string | undefined {
  const { kind, codec, batchCount, recordCount, decodedBytes, payloadBytes } = entry;
  if (entry.pieceOffset + entry.piece.length > payloadBytes) return 'a piece exceeds its payload';
  if (payloadBytes > MAX_FRAME_PAYLOAD_BYTES) return 'the payload is over the limit';
  if (decodedBytes > MAX_FRAME_DECODED_BYTES) return 'the decoded payload is over the limit';
  if (codec !== CODEC_RAW && codec !== CODEC_ZSTD) return `codec ${codec} is not known`;
  if (codec === CODEC_RAW && payloadBytes !== decodedBytes) return 'a raw payload has two lengths';
  if (kind !== 'batches') {
    const isWhole = entry.piece.length === payloadBytes && codec === CODEC_RAW;
    return batchCount === 0 && recordCount === 0 && isWhole ? undefined : 'the entry has batches';
  }
  if (batchCount === 0 || recordCount < batchCount) return 'the entry counts no batches';
  return entry.piece.length === 0 ? 'the entry has no rows' : undefined;
}
