import { GROUP_ALIGN_BYTES, HEADER_BYTES } from './volume-header.ts';
import { lengthOfRecord, RECORD_HEADER_BYTES, type RecordHeader } from './record.ts';
import type { HeaderSeal } from './record.ts';
import type { VolumeSet } from './volume-set.ts';
import type { Volume } from './volume.ts';

/** Bytes that one call reads by default. A longer record is read with a separate call. */
const WINDOW_BYTES = 4 * 2 ** 20;
const ZEROS = Buffer.alloc(GROUP_ALIGN_BYTES);

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

/** A range with neither a record nor the padding of a group. */
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
 * The records of a volume in order, up to `end`. After an invalid header, the walk continues at the
 * next multiple of 4 KiB, where a group may start. Bytes of a body are never taken for a record,
 * because the checksum of a header depends on its place. The next window is read while the caller
 * processes the preceding one.
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

/** The whole records of a piece. `neededBytes`: length of the incomplete record at its end. */
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
    const lengthBytes = header === undefined ? nextGroup(offset) - offset : lengthOfRecord(header);
    if (!isLast && at + lengthBytes > bytes.length) {
      neededBytes = lengthBytes;
      break;
    }
    if (header !== undefined) {
      records.push(new WalkedRecord({ header, offset, lengthBytes }, bytes, at));
    } else {
      const found = bytes.subarray(at, at + lengthBytes);
      if (!found.equals(ZEROS.subarray(0, found.length))) {
        gaps.push({ offset, lengthBytes: found.length });
      }
    }
    at += lengthBytes;
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

function nextGroup(offset: number): number {
  return (Math.floor(offset / GROUP_ALIGN_BYTES) + 1) * GROUP_ALIGN_BYTES;
}
