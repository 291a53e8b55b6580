import { assert } from '../base/assert.ts';
import { writeSafeU64 } from '../base/bytes.ts';
import { crc32 } from './crc.ts';
import { zstd } from './zstd.ts';
import type { PieceCompressor } from './zstd-library.ts';

/** Bytes of a record before its data, in the ancestor's format. */
export const ANCESTOR_ROW_BYTES = 24;
/** The ancestor's own level. Its window of 2 MiB is far below the accepted maximum of 2^27. */
const ANCESTOR_LEVEL = 3;

/** A u64 in halves. */
export interface U64Halves {
  readonly low: number;
  readonly high: number;
}

/** Writes the head of one record: `u64 key | u64 value | u64 dataLength`. The data follows it. */
export function writeAncestorRowHead(
  view: DataView,
  offset: number,
  key: U64Halves,
  value: U64Halves,
  dataLength: number,
): void {
  assert(value.low !== 0 || value.high !== 0, 'a record of a snapshot is no delete');
  view.setUint32(offset, key.low, true);
  view.setUint32(offset + 4, key.high, true);
  view.setUint32(offset + 8, value.low, true);
  view.setUint32(offset + 12, value.high, true);
  writeSafeU64(view, offset + 16, dataLength);
}

/** Compresses a payload of unknown length into one zstd frame, piece by piece. */
export function ancestorCompressor(): PieceCompressor {
  return zstd().pieceCompressor(ANCESTOR_LEVEL);
}

/**
 * The ancestor's frame checksum, computed incrementally: first the bytes of the length, then the
 * payload.
 */
export class AncestorChecksum {
  #crc = 0;

  update(bytes: Uint8Array): void {
    this.#crc = crc32(bytes, this.#crc);
  }

  get value(): number {
    return (this.#crc ^ 0xaf) >>> 0;
  }
}
