import { GROUP_ALIGN_BYTES, HEADER_BYTES } from './volume-header.ts';
import { lengthOfRecord, mayBeHeader, RECORD_ALIGN_BYTES, RECORD_HEADER_BYTES } from './record.ts';
import type { RecordHeader } from './record.ts';
import type { HeaderSeal } from './record.ts';
import type { VolumeSet } from './volume-set.ts';
import type { Volume } from './volume.ts';

/** Bytes that one call reads by default. A longer record is read with a separate call. */
const WINDOW_BYTES = 4 * 2 ** 20;
/** A piece of this length has a multiple of 4 KiB that is not its start. */
const LEAST_NEXT_BYTES = 3 * GROUP_ALIGN_BYTES;

/** A record at `at` in `piece`, and at `offset` in its volume. */
export class WalkedRecord {
  readonly header: RecordHeader;
  readonly offset: number;
  readonly lengthBytes: number;
  readonly #piece: Buffer;
  readonly #at: number;

  constructor(
    { header, offset, lengthBytes }: Pick<WalkedRecord, 'header' | 'offset' | 'lengthBytes'>,
    piece: Buffer,
    at: number,
  ) {
    this.header = header;
    this.offset = offset;
    this.lengthBytes = lengthBytes;
    this.#piece = piece;
    this.#at = at;
  }

  /** The whole record, or the part of it that the file has. */
  get bytes(): Buffer {
    return this.#piece.subarray(this.#at, this.#at + this.lengthBytes);
  }

  /** The same record with a copy of its bytes. */
  in(piece: Buffer, at: number): WalkedRecord {
    return new WalkedRecord(this, piece, at);
  }
}

/**
 * A range with neither a record nor the padding of a group. One that crosses the end of a window is
 * in both windows with its part.
 */
export interface WalkedGap {
  readonly offset: number;
  readonly lengthBytes: number;
}

/** A stretch of a volume, in order. */
export interface WalkedWindow {
  readonly records: readonly WalkedRecord[];
  readonly gaps: readonly WalkedGap[];
  /** The bytes of the stretch and its end. */
  readonly lengthBytes: number;
  readonly endOffset: number;
}

/**
 * Two alternating buffers: one has the window that is examined, the other is filled. Records of a
 * window are valid until the next window is requested.
 */
export class WindowBuffers {
  #spare: Buffer | undefined;
  #last: Buffer | undefined;

  take(lengthBytes: number): Buffer {
    const spare = this.#spare;
    const taken =
      spare !== undefined && spare.length >= lengthBytes
        ? spare
        : Buffer.allocUnsafeSlow(Math.max(lengthBytes, WINDOW_BYTES));
    this.#spare = this.#last;
    this.#last = taken;
    return taken.subarray(0, lengthBytes);
  }
}

interface Piece {
  readonly offset: number;
  readonly bytes: Buffer;
  /** Nothing follows: the walk or the file ends here. */
  readonly isLast: boolean;
}

/**
 * The records of a volume in order, up to `end`. After an invalid header, the walk continues with
 * the next valid one: every record begins at a multiple of 8 bytes. Bytes of a body are never taken
 * for a record, because the checksum of a header depends on its place. The time is linear in the
 * length, whatever the bytes are. The next window is read while the caller processes the preceding
 * one.
 *
 * Without `buffers`, each window has separate memory.
 */
export async function* walkWindows(
  volumes: VolumeSet,
  volume: Volume,
  end: number,
  buffers?: WindowBuffers,
  windowBytes = WINDOW_BYTES,
): AsyncGenerator<WalkedWindow, void, undefined> {
  const seal = volumes.sealOf(volume.number);
  const read = async (offset: number, most: number): Promise<Piece> => {
    const lengthBytes = Math.min(most, end - offset);
    const target = buffers?.take(lengthBytes) ?? Buffer.allocUnsafeSlow(lengthBytes);
    const count = await volumes.readSome(volume, target, offset);
    const isLast = count < lengthBytes || offset + count >= end;
    return { offset, bytes: target.subarray(0, count), isLast };
  };
  let reading = HEADER_BYTES < end ? read(HEADER_BYTES, windowBytes) : undefined;
  try {
    while (reading !== undefined) {
      const piece: Piece = await reading;
      const { window, neededBytes } = windowOf(seal, piece, end);
      reading = piece.isLast
        ? undefined
        : read(window.endOffset, Math.max(neededBytes, windowBytes));
      // The error is thrown when it is awaited.
      reading?.catch(() => undefined);
      if (window.lengthBytes > 0) yield window;
    }
  } finally {
    // Its buffer may be the next window of another walk.
    await reading?.catch(() => undefined);
  }
}

/** The whole records of a piece. `neededBytes`: what the next piece must have, at least. */
function windowOf(
  seal: HeaderSeal,
  piece: Piece,
  end: number,
): { readonly window: WalkedWindow; readonly neededBytes: number } {
  const { offset: start, bytes, isLast } = piece;
  const records: WalkedRecord[] = [];
  const gaps: WalkedGap[] = [];
  let at = 0;
  let neededBytes = 0;
  while (at < bytes.length) {
    if (!isLast && bytes.length - at < RECORD_HEADER_BYTES) break;
    const offset = start + at;
    const header = seal.read(bytes, at, offset);
    const lengthBytes = header === undefined ? 0 : lengthOfRecord(header);
    if (!isLast && at + lengthBytes > bytes.length) {
      neededBytes = lengthBytes;
      break;
    }
    if (header !== undefined) {
      records.push(new WalkedRecord({ header, offset, lengthBytes }, bytes, at));
      at += lengthBytes;
      continue;
    }
    const to = endOfStretch(seal, piece, at);
    if (to === at) {
      neededBytes = LEAST_NEXT_BYTES;
      break;
    }
    if (isGap(piece, at, to)) gaps.push({ offset, lengthBytes: to - at });
    at = to;
  }
  const endOffset = isLast ? end : start + at;
  if (isLast && start + bytes.length < end) {
    gaps.push({ offset: start + bytes.length, lengthBytes: end - start - bytes.length });
  }
  return {
    window: { records, gaps, lengthBytes: endOffset - start, endOffset },
    neededBytes,
  };
}

/**
 * The end of a stretch without a valid header that begins at `from`: where the next valid header
 * is. If the piece has none, the last multiple of 4 KiB that may be examined again with what
 * follows; `from` if there is none.
 */
function endOfStretch(seal: HeaderSeal, { offset, bytes, isLast }: Piece, from: number): number {
  const last = bytes.length - RECORD_HEADER_BYTES;
  for (let at = from + RECORD_ALIGN_BYTES; at <= last; at += RECORD_ALIGN_BYTES) {
    if (!mayBeHeader(bytes, at)) continue;
    if (seal.read(bytes, at, offset + at) !== undefined) return at;
  }
  if (isLast) return bytes.length;
  const examined = offset + last;
  return Math.max(from, examined - (examined % GROUP_ALIGN_BYTES) - offset);
}

/**
 * Padding and holes are zeros, and what follows them begins at a multiple of 4 KiB. Zeros before
 * another place were a record.
 */
function isGap({ offset, bytes }: Piece, from: number, to: number): boolean {
  if (to < bytes.length && (offset + to) % GROUP_ALIGN_BYTES !== 0) return true;
  // Zeros are equal to themselves one byte later.
  return bytes[from] !== 0 || !bytes.subarray(from + 1, to).equals(bytes.subarray(from, to - 1));
}
