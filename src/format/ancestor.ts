import { assert } from '../base/assert.ts';
import { isZero, viewOf } from '../base/bytes.ts';
import { MAX_BATCH_BYTES, ROW_HEADER_BYTES } from '../base/limits.ts';
import { crc32c } from './crc.ts';
import { ancestorChecksum, STORE_ID_BYTES } from './checksum.ts';
import { decompressPieces } from './compression.ts';

/**
 * The files of the ancestor, the metadata store of the Rust engine sled (1.0 alpha). A frame is
 * `u64 payloadLength | payload | u32 crc`. The payload is zstd over rows of `u64 key | u64 value |
 * u64 dataLength | data`. A log is a sequence of frames; a snapshot is one frame.
 */
export const ANCESTOR_FRAME_OVERHEAD_BYTES = 12;

const ANCESTOR_ROW_HEADER_BYTES = 24;

/** The first bytes of each frame's payload. */
export const ZSTD_MAGIC: Uint8Array = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd);

const MAX_ANCESTOR_PAYLOAD_BYTES = 2n ** 40n;

/**
 * Whether a file that begins with these bytes may be the ancestor's: they are a plausible payload
 * length.
 */
export function beginsAsAncestor(head: Uint8Array): boolean {
  if (head.length < 8) return false;
  const declared = viewOf(head).getBigUint64(0, true);
  return declared > 0n && declared < MAX_ANCESTOR_PAYLOAD_BYTES;
}

export type AncestorFrameResult =
  | { readonly kind: 'frame'; readonly payload: Uint8Array; readonly lengthBytes: number }
  /** Only zeros, or no bytes. */
  | { readonly kind: 'end' }
  /** The file ends before the frame does. */
  | { readonly kind: 'torn'; readonly reason: string }
  | { readonly kind: 'corrupt'; readonly reason: string };

/**
 * Reads the frame at `offset`. `bytes` holds the whole file, so a corrupt length cannot cause an
 * allocation.
 */
export function decodeAncestorFrame(bytes: Uint8Array, offset: number): AncestorFrameResult {
  if (isZero(bytes, offset)) return { kind: 'end' };
  const left = bytes.length - offset;
  if (left < 8) return { kind: 'torn', reason: 'the file ends inside a frame length' };
  const view = viewOf(bytes);
  const declared = view.getBigUint64(offset, true);
  if (declared > BigInt(left - ANCESTOR_FRAME_OVERHEAD_BYTES)) {
    return { kind: 'torn', reason: 'the file ends inside a frame' };
  }
  const payloadBytes = Number(declared);
  const covered = bytes.subarray(offset, offset + 8 + payloadBytes);
  if (ancestorChecksum(covered) !== view.getUint32(offset + 8 + payloadBytes, true)) {
    return { kind: 'corrupt', reason: 'the frame does not match its checksum' };
  }
  return {
    kind: 'frame',
    payload: covered.subarray(8),
    lengthBytes: payloadBytes + ANCESTOR_FRAME_OVERHEAD_BYTES,
  };
}

/**
 * Yields the rows of a frame's payload in lodestore's row format, piece by piece. Stops at the
 * first bytes that are not a row, and returns the reason as a string.
 *
 * @throws NativePackageError if there is no zstd library
 */
export function* ancestorRows(
  payload: Uint8Array,
): Generator<Uint8Array, string | undefined, void> {
  const parser = new AncestorRowParser();
  // Outside of the `try`: a missing library is no damage.
  const pieces = decompressPieces(payload);
  try {
    for (const piece of pieces) {
      const rows = parser.push(piece);
      if (typeof rows === 'string') return rows;
      if (rows.length > 0) yield rows;
    }
  } catch {
    return 'the payload is not zstd';
  }
  // The ancestor ignores a rest that is shorter than a row header.
  return parser.pendingBytes >= ANCESTOR_ROW_HEADER_BYTES
    ? 'the payload ends inside a record'
    : undefined;
}

const NO_ROWS = new Uint8Array(0);

class AncestorRowParser {
  /** Bytes of an incomplete record: the first `pendingBytes` are in use. */
  #buffer: Uint8Array = new Uint8Array(0);
  pendingBytes = 0;
  /** Length of the first incomplete record, or of a row header while that length is unknown. */
  #neededBytes = ANCESTOR_ROW_HEADER_BYTES;

  /**
   * Adds decompressed bytes. Returns the complete rows, or the reason as a string if there is an
   * invalid one.
   */
  push(piece: Uint8Array): Uint8Array | string {
    const end = this.pendingBytes + piece.length;
    if (end > this.#buffer.length) {
      // Doubling bounds the number of copies of a record that spans many pieces.
      const grown = new Uint8Array(Math.max(end, 2 * this.#buffer.length));
      grown.set(this.#buffer.subarray(0, this.pendingBytes));
      this.#buffer = grown;
    }
    this.#buffer.set(piece, this.pendingBytes);
    this.pendingBytes = end;
    return end < this.#neededBytes ? NO_ROWS : this.#takeRows(this.#buffer.subarray(0, end));
  }

  #takeRows(bytes: Uint8Array): Uint8Array | string {
    const view = viewOf(bytes);
    const rows = new Uint8Array(bytes.length);
    const rowsView = viewOf(rows);
    let offset = 0;
    let written = 0;
    this.#neededBytes = ANCESTOR_ROW_HEADER_BYTES;
    while (offset + ANCESTOR_ROW_HEADER_BYTES <= bytes.length) {
      const declared = view.getBigUint64(offset + 16, true);
      if (declared > BigInt(MAX_BATCH_BYTES - ROW_HEADER_BYTES)) {
        return `a record with ${declared} bytes of data is over the limit`;
      }
      const dataBytes = Number(declared);
      const dataOffset = offset + ANCESTOR_ROW_HEADER_BYTES;
      if (dataOffset + dataBytes > bytes.length) {
        this.#neededBytes = ANCESTOR_ROW_HEADER_BYTES + dataBytes;
        break;
      }
      const value = view.getBigUint64(offset + 8, true);
      // The ancestor ignores the data of a delete.
      const keptBytes = value === 0n ? 0 : dataBytes;
      rowsView.setBigUint64(written, view.getBigUint64(offset, true), true);
      rowsView.setBigUint64(written + 8, value, true);
      rowsView.setUint32(written + 16, keptBytes, true);
      rows.set(bytes.subarray(dataOffset, dataOffset + keptBytes), written + ROW_HEADER_BYTES);
      written += ROW_HEADER_BYTES + keptBytes;
      offset = dataOffset + dataBytes;
    }
    bytes.copyWithin(0, offset);
    this.pendingBytes = bytes.length - offset;
    return rows.subarray(0, written);
  }
}

/**
 * Derives the id of a store whose snapshot is still the ancestor's. It is the same at every open
 * until the first merge stores it, so lodestore's logs beside the ancestor's snapshot can be
 * verified.
 *
 * @param snapshotNumber number of the ancestor's snapshot, or -1 without one
 * @param snapshotChecksum the last four bytes of that snapshot, or 0
 */
export function ancestorStoreId(snapshotNumber: number, snapshotChecksum: number): Uint8Array {
  const id = new Uint8Array(STORE_ID_BYTES);
  const view = viewOf(id);
  view.setFloat64(0, snapshotNumber, true);
  view.setUint32(8, snapshotChecksum, true);
  view.setUint32(12, crc32c(id.subarray(0, 12)), true);
  assert(!isZero(id), 'a store id is not zero');
  return id;
}

/** Whether the id was made by `ancestorStoreId`: the store began with the ancestor's records. */
export function isAncestorStoreId(id: Uint8Array): boolean {
  const view = viewOf(id);
  const snapshotNumber = view.getFloat64(0, true);
  const isNumber = Number.isSafeInteger(snapshotNumber) && snapshotNumber >= -1;
  return isNumber && view.getUint32(12, true) === crc32c(id.subarray(0, 12));
}
