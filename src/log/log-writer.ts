import { dirname } from 'node:path';
import { assert } from '../base/assert.ts';
import { equalBytes } from '../base/bytes.ts';
import { FilesLostError, isLackOfSpace } from '../base/errors.ts';
import { ChecksumSeed } from '../format/checksum.ts';
import {
  encodeFileHeader,
  FILE_HEADER_BYTES,
  type NewFileHeader,
  type Predecessor,
} from '../format/file-header.ts';
import { begin, isPromise, waited, type Flow } from '../base/flow.ts';
import type { EitherCalls, EitherFile } from '../fs/file-system.ts';
import { writing, writingZeros } from '../fs/write.ts';
import { BlockCover } from './block-cover.ts';
import type { EncodedWrite, Group, GroupEncoder, WritePosition, Pause } from './group-encoder.ts';
import { type PreparedLog, readStart, SyncError, syncZeros } from './prepared-log.ts';

/** Largest step by which a log grows. */
export const LARGEST_RESERVE_STEP_BYTES: number = 8 * 1024 * 1024;

/** What all logs of one store share. */
export interface LogIdentity {
  readonly storeId: Uint8Array;
  readonly epoch: number;
}

/**
 * The live log. It is written by one caller, one write at a time; a failed write leaves it where it
 * stood, and `cutBack` makes sure that the disk agrees.
 *
 * Its files are of either kind. Where their calls block, each method ends without waiting, and
 * zeros that are reserved ahead are there when `reserveAhead` returns: nothing is ever in flight.
 */
export class LogWriter {
  readonly number: number;
  readonly path: string;
  readonly #calls: EitherCalls;
  readonly #file: EitherFile;
  /**
   * A system reports what it failed to write back to the descriptors that were open by then: this
   * one was.
   */
  readonly #plain: EitherFile;
  readonly #seed: ChecksumSeed;
  readonly #header: NewFileHeader;
  readonly #firstReserveBytes: number;
  readonly #cover: BlockCover = new BlockCover();
  #position: WritePosition;
  /** Where the log stood when all of it was last known to be durable. */
  #synced: WritePosition;
  #state: 'open' | 'writing-volatile' | 'sealed' | 'cut' = 'open';
  #reservedBytes: number;
  #growth: Promise<void> | undefined;
  #growsTo = 0;
  #growthFailure: unknown;
  /** Writes and cuts in flight. */
  #changes = 0;

  constructor(
    calls: EitherCalls,
    prepared: PreparedLog,
    identity: LogIdentity,
    predecessor: Predecessor,
  ) {
    this.number = prepared.number;
    this.path = prepared.path;
    this.#calls = calls;
    this.#file = prepared.file;
    this.#plain = prepared.plain;
    this.#firstReserveBytes = prepared.reservedBytes;
    this.#reservedBytes = prepared.reservedBytes;
    this.#seed = new ChecksumSeed(identity.storeId, 'log', prepared.number);
    this.#header = { kind: 'log', ...identity, number: prepared.number, predecessor };
    this.#position = {
      offset: 0,
      chain: 0,
      frameCount: 0,
      lastSequence: predecessor.lastSequence,
    };
    this.#synced = this.#position;
  }

  /** Bytes written. 0: nothing yet, not even the header. */
  get lengthBytes(): number {
    return this.#position.offset;
  }

  /** Bytes of the file: what is written, and zeros reserved behind it, also those under way. */
  get fileBytes(): number {
    return Math.max(this.#reservedBytes, this.#growsTo);
  }

  get lastSequence(): bigint {
    return this.#position.lastSequence;
  }

  /** Bytes at the end of the log that are not known to be durable. */
  get unsyncedBytes(): number {
    return this.#position.offset - this.#synced.offset;
  }

  /** Bytes at the beginning of the log that are known to be durable. */
  get syncedBytes(): number {
    return this.#synced.offset;
  }

  /** Sequence of the last batch that is known to be durable. */
  get syncedSequence(): bigint {
    return this.#synced.lastSequence;
  }

  /** Nothing more is written to it: it has a seal, or was cut for good. */
  get isEnded(): boolean {
    return this.#state === 'sealed' || this.#state === 'cut';
  }

  /** What the next log says of this one. */
  get asPredecessor(): Predecessor {
    assert(this.isEnded, 'a log is ended before the next one refers to it');
    return {
      number: this.number,
      lengthBytes: this.#position.offset,
      lastSequence: this.#position.lastSequence,
      chain: this.#position.chain,
    };
  }

  /** Encodes a group, a seal or both as the next write. Nothing has happened to the log yet. */
  encode(
    encoder: GroupEncoder,
    parts: { readonly group?: Group | undefined; readonly seal: boolean },
    level: number,
    pause: Pause,
  ): Flow<EncodedWrite> {
    assert(!this.isEnded, 'nothing is written behind a seal');
    const header = this.#position.offset === 0 ? this.#header : undefined;
    const unprovenBytes = this.unsyncedBytes;
    const all = { header, unprovenBytes, ...parts };
    return encoder.encode(this.#position, this.#seed, all, level, pause);
  }

  /**
   * Writes durably; all before is durable already. Throws the system's error; the log's position is
   * then as before.
   */
  *write(encoded: EncodedWrite, seal: boolean): Flow<void> {
    assert(this.unsyncedBytes === 0, 'a durable write proves that all before it is durable');
    if (this.#mustWait(encoded)) yield* waited(this.#growth);
    this.#requireGrown();
    assert(this.#cover.end === this.#position.offset, 'the cover ends where the log does');
    const { bytes, offset } = this.#cover.cover(encoded.bytes, this.#reservedBytes);
    this.#changes++;
    try {
      const written = begin(writing(this.#file, bytes, offset));
      const isThere = this.#isThere();
      yield* waited(written);
      if (!isThere) yield* this.#throwLost();
    } finally {
      this.#changes--;
    }
    this.#advance(encoded);
    this.#synced = this.#position;
    if (seal) this.#state = 'sealed';
  }

  /** Writes a group that is durable only after `sync`. Throws as `write`. */
  *writeVolatile(encoded: EncodedWrite): Flow<void> {
    if (this.#mustWait(encoded)) yield* waited(this.#growth);
    this.#requireGrown();
    this.#state = 'writing-volatile';
    this.#changes++;
    try {
      yield* writing(this.#plain, encoded.bytes, this.#position.offset);
      this.#advance(encoded);
    } finally {
      this.#changes--;
      this.#state = 'open';
    }
  }

  /**
   * Whether the file still has a name and its length: what goes into a file that somebody has
   * removed, or behind what somebody has cut, is lost. A file that was renamed is found by its name
   * (`FilesWatch`). The system is asked while it writes, when the event loop has nothing else to do
   * for the group: a file that is removed after that is found by the next write, as one that is
   * removed after this write is.
   */
  #isThere(): boolean {
    try {
      const { sizeBytes, linkCount } = this.#file.statSync();
      return linkCount > 0 && sizeBytes >= this.#reservedBytes;
    } catch {
      // A network file system says of a file that was removed elsewhere that its handle is stale.
      return false;
    }
  }

  /** @throws FilesLostError, or DirectoryLostError where the directory itself is lost */
  *#throwLost(): Flow<never> {
    yield* waited(this.#calls.syncDirectory(dirname(this.path)));
    throw FilesLostError.of(this.path);
  }

  /**
   * Zeros must never land on a frame: past the reserve, a write waits until no zeros are under way.
   * Within it, the write has been handed to the system when the call returns, and the caller's work
   * goes on beside it.
   */
  #mustWait(encoded: EncodedWrite): boolean {
    assert(!this.isEnded, 'nothing is written behind a seal');
    return encoded.after.offset > this.#reservedBytes;
  }

  #requireGrown(): void {
    if (this.#growthFailure !== undefined) throw this.#growthFailure;
  }

  #advance(encoded: EncodedWrite): void {
    this.#cover.advance(encoded.bytes);
    this.#position = encoded.after;
    this.#reservedBytes = Math.max(this.#reservedBytes, encoded.after.offset);
  }

  /**
   * Makes all of the log durable. Only called between two writes.
   * @throws SyncError: what is unsynced may be lost, and the call may not be repeated
   */
  *sync(): Flow<void> {
    if (this.unsyncedBytes === 0) return;
    try {
      yield* waited(this.#plain.dataSync());
      if (!this.#isThere()) yield* this.#throwLost();
      // A failure to write back is reported once: the sync of the zeros may be the one that met it.
      yield* waited(this.#growth);
      if (this.#growthFailure !== undefined) throw this.#growthFailure;
    } catch (error) {
      throw new SyncError(`${this.path} could not be synced`, error);
    }
    this.#synced = this.#position;
  }

  /**
   * After a write that failed for lack of space: removes what it may have left, so that neither a
   * crash nor a later write can bring it back. When it ends the disk holds the log as before.
   */
  *cutBack(): Flow<void> {
    this.#changes++;
    try {
      yield* waited(this.#growth);
      yield* waited(this.#plain.truncate(this.#position.offset));
      yield* waited(this.#plain.dataSync());
      this.#reservedBytes = this.#position.offset;
    } finally {
      this.#changes--;
    }
  }

  /**
   * Ends the log where `cutBack` has cut it, without a seal: a limit on the size of files leaves no
   * room for one. The next log says where this one ends, as it does of the last log of a process
   * that was killed.
   */
  endWithoutSeal(): void {
    assert(this.#reservedBytes === this.#position.offset, 'nothing stands behind the last group');
    assert(this.unsyncedBytes === 0, 'all of a log is durable before the next one is written');
    this.#state = 'cut';
  }

  /**
   * Reserves zeros ahead when less than half a step is left, up to `limitBytes`; in the background,
   * unless the calls block. Only called between two writes. Lack of space costs speed, not safety:
   * the next write meets the error itself. A failed sync is kept and thrown by the next write: it
   * may not be retried.
   */
  reserveAhead(limitBytes: number): void {
    if (this.#growth !== undefined || this.isEnded) return;
    const from = this.#reservedBytes;
    const stepBytes = Math.min(Math.max(from, this.#firstReserveBytes), LARGEST_RESERVE_STEP_BYTES);
    const to = Math.min(from + stepBytes, limitBytes);
    if (from - this.#position.offset >= stepBytes / 2 || to <= from) return;
    const growing = begin(this.#grow(from, to));
    if (!isPromise(growing)) return;
    this.#growsTo = to;
    this.#growth = growing.finally(() => {
      this.#growth = undefined;
      this.#growsTo = 0;
    });
  }

  /**
   * Whether a sync that fails for lack of space may have been that of a group, not of zeros alone.
   */
  get #hasVolatile(): boolean {
    return this.unsyncedBytes > 0 || this.#state === 'writing-volatile';
  }

  *#grow(from: number, to: number): Flow<void> {
    try {
      yield* writingZeros(this.#plain, from, to);
      yield* syncZeros(this.#plain, this.path);
      this.#reservedBytes = to;
    } catch (error) {
      const isSync = error instanceof SyncError;
      const cause = isSync ? error.cause : error;
      if (!isLackOfSpace(cause)) this.#growthFailure = cause;
      else if (isSync && this.#hasVolatile) this.#growthFailure = error;
    }
  }

  /**
   * Throws unless the log at its path is this one, as long as it was left. Who opens the store
   * elsewhere cuts off the reserve. While a write is in flight only what it stands behind is
   * compared. `calls` may be of the other kind.
   */
  *requireUnchanged(calls: EitherCalls): Flow<void> {
    yield* waited(this.#growth);
    const { sizeBytes, start } = yield* readStart(calls, this.path);
    const isInFlight = this.#changes > 0;
    const isLength = isInFlight ? sizeBytes >= this.lengthBytes : sizeBytes === this.#reservedBytes;
    const expected = new Uint8Array(FILE_HEADER_BYTES);
    if (this.lengthBytes > 0) encodeFileHeader(expected, this.#header);
    const isStart = (isInFlight && this.lengthBytes === 0) || equalBytes(start, expected);
    if (!isLength || !isStart) throw new Error(`${this.path} is not as it was left here`);
  }

  /** Waits for a reservation under way and closes the file. */
  *close(): Flow<void> {
    yield* waited(this.#growth);
    try {
      yield* waited(this.#plain.close());
    } finally {
      yield* waited(this.#file.close());
    }
  }
}
