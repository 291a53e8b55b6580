import { equalBytes } from '../../base/bytes.ts';
import { StoreError } from '../../base/errors.ts';
import { READ_VERSION } from '../../format/file-header.ts';
import { decodeEntry, type SharedEntry } from './entry.ts';
import { LogLostError } from './log-errors.ts';

/** A place between two entries of a shared log: all state that the next entry must match. */
export interface LogPlace {
  /** Undefined before the first entry. */
  readonly logId: Uint8Array | undefined;
  /** Position of the last entry; 0 if none. */
  readonly position: bigint;
  /** Sequence of the last batch before this place. */
  readonly sequence: bigint;
  /** Epoch of the last takeover before this place; 0 if none. */
  readonly epoch: bigint;
  /** Checksum of the last entry; 0 if none. */
  readonly checksum: number;
}

export const LOG_START: LogPlace = {
  logId: undefined,
  position: 0n,
  sequence: 0n,
  epoch: 0n,
  checksum: 0,
};

/** A whole group with its payload assembled. */
export interface CompleteGroup {
  readonly firstSequence: bigint;
  readonly lastSequence: bigint;
  readonly batchCount: number;
  readonly recordCount: number;
  readonly decodedBytes: number;
  readonly codec: number;
  /** Format version of the logs that these rows belong to. */
  readonly rowsVersion: number;
  readonly payload: Uint8Array;
}

export type ChainStep =
  | { readonly kind: 'group'; readonly group: CompleteGroup }
  /** A part of a group: nothing to apply. */
  | { readonly kind: 'piece' }
  | { readonly kind: 'takeover'; readonly address: string }
  | { readonly kind: 'barrier' }
  /**
   * The log was repaired: it continues from the state of one replica, which is in the checkpoint at
   * this position. All other nodes restore it.
   */
  | { readonly kind: 'repaired'; readonly address: string };

interface OpenGroup {
  readonly first: SharedEntry;
  readonly pieces: Uint8Array[];
  lengthBytes: number;
}

/**
 * Follows the entries of a shared log and checks that each continues the preceding one. Only this
 * class decides what an entry means, for the primary, for replicas and for an open.
 *
 * A group that is too large for one entry consists of pieces; the last piece commits it. Any entry
 * other than the next piece with the same nonce voids the preceding pieces. The memory of pieces is
 * bounded by the largest payload of a frame.
 */
export class LogChain {
  #place: LogPlace;
  #groupEnd: LogPlace;
  #open: OpenGroup | undefined;

  constructor(start: LogPlace) {
    this.#place = start;
    this.#groupEnd = start;
  }

  /** The place after the last entry. */
  get place(): LogPlace {
    return this.#place;
  }

  /** The place after the last entry that is not a piece of an unfinished group. */
  get groupEnd(): LogPlace {
    return this.#groupEnd;
  }

  /**
   * Takes the entry at `position`.
   * @throws LogLostError if it cannot follow; StoreError `LODESTORE_UNSUPPORTED_FORMAT`
   */
  take(position: bigint, bytes: Uint8Array): ChainStep {
    const entry = this.#decode(position, bytes);
    const step = this.#judge(position, entry);
    const sequence = step.kind === 'group' ? step.group.lastSequence : this.#place.sequence;
    this.#place = {
      logId: this.#place.logId ?? entry.logId.slice(),
      position,
      sequence: step.kind === 'repaired' ? entry.firstSequence - 1n : sequence,
      epoch: entry.epoch,
      checksum: entry.checksum,
    };
    if (step.kind !== 'piece') this.#groupEnd = this.#place;
    return step;
  }

  #decode(position: bigint, bytes: Uint8Array): SharedEntry {
    const entry = decodeEntry(bytes);
    if (typeof entry === 'string') throw new LogLostError({ position, reason: entry });
    if (entry.kind === 'newer') throw newerFormat(`entry ${position} has format ${entry.version}`);
    if (entry.kind === 'batches' && entry.rowsVersion > READ_VERSION.log) {
      throw newerFormat(`the rows of entry ${position} have format ${entry.rowsVersion}`);
    }
    return entry;
  }

  #judge(position: bigint, entry: SharedEntry): ChainStep {
    const place = this.#place;
    const lost = (reason: string): LogLostError => new LogLostError({ position, reason });
    if (position !== place.position + 1n) throw lost(`an entry came after ${place.position}`);
    if (place.logId !== undefined && !equalBytes(place.logId, entry.logId)) {
      throw lost('the entry is of another log');
    }
    if (entry.previous !== place.checksum) throw lost('the entry does not follow the last one');
    if (entry.kind === 'takeover') return this.#takeover(entry, lost);
    if (entry.epoch !== place.epoch || place.epoch === 0n) {
      throw lost(`epoch ${entry.epoch} wrote after the takeover by epoch ${place.epoch}`);
    }
    if (entry.firstSequence !== place.sequence + 1n) {
      throw lost(`sequence ${entry.firstSequence} came after ${place.sequence}`);
    }
    if (entry.kind === 'batches') return this.#piece(entry, lost);
    this.#open = undefined;
    return { kind: 'barrier' };
  }

  #takeover(entry: SharedEntry, lost: (reason: string) => LogLostError): ChainStep {
    const { epoch, sequence } = this.#place;
    const isRepair = entry.firstSequence !== sequence + 1n;
    const isNext = isRepair ? entry.epoch > epoch : entry.epoch === epoch + 1n;
    if (!isNext) throw lost(`epoch ${entry.epoch} came after ${epoch}`);
    if (entry.firstSequence === 0n) throw lost('the entry names no sequence');
    this.#open = undefined;
    const address = new TextDecoder().decode(entry.piece);
    return { kind: isRepair ? 'repaired' : 'takeover', address };
  }

  #piece(entry: SharedEntry, lost: (reason: string) => LogLostError): ChainStep {
    let open = this.#open;
    const isNext =
      open !== undefined &&
      equalBytes(open.first.nonce, entry.nonce) &&
      entry.pieceOffset === open.lengthBytes;
    if (open === undefined || !isNext) {
      if (entry.pieceOffset !== 0) throw lost('a piece of a group came without its beginning');
      open = { first: entry, pieces: [], lengthBytes: 0 };
    } else if (!isSameGroup(open.first, entry)) throw lost('the pieces of a group disagree');
    open.pieces.push(entry.piece);
    open.lengthBytes += entry.piece.length;
    if (open.lengthBytes < entry.payloadBytes) {
      this.#open = open;
      return { kind: 'piece' };
    }
    this.#open = undefined;
    const { firstSequence, batchCount, recordCount, decodedBytes, codec, rowsVersion } = entry;
    const payload = open.pieces.length === 1 ? entry.piece : Buffer.concat(open.pieces);
    const lastSequence = firstSequence + BigInt(batchCount) - 1n;
    const counts = { batchCount, recordCount, decodedBytes };
    const sequences = { firstSequence, lastSequence };
    return { kind: 'group', group: { ...sequences, ...counts, codec, rowsVersion, payload } };
  }
}

function isSameGroup(one: SharedEntry, other: SharedEntry): boolean {
  return (
    one.batchCount === other.batchCount &&
    one.recordCount === other.recordCount &&
    one.decodedBytes === other.decodedBytes &&
    one.payloadBytes === other.payloadBytes &&
    one.codec === other.codec &&
    one.rowsVersion === other.rowsVersion
  );
}

/** The error for an entry that a newer version of this package has written. */
export function newerFormat(what: string): StoreError {
  const message = `${what}, which this version of lodestore does not support; use a newer version`;
  return new StoreError('LODESTORE_UNSUPPORTED_FORMAT', message);
}
