import { dirname } from 'node:path';
import { assert } from '../base/assert.ts';
import { equalBytes } from '../base/bytes.ts';
import { FilesLostError, isLackOfSpace } from '../base/errors.ts';
import { ChecksumSeed } from '../format/checksum.ts';
import {
  encodeFileHeader,
  FILE_HEADER_BYTES,
  INTERVAL_VERSION,
  WRITTEN_VERSION,
  type NewFileHeader,
  type Predecessor,
} from '../format/file-header.ts';
import { begin, isPromise, waited, type Flow } from '../base/flow.ts';
import type { EitherCalls, EitherFile } from '../fs/file-system.ts';
import { writing, writingZeros } from '../fs/write.ts';
import { BlockCover } from './block-cover.ts';
import type { EncodedWrite, Group, GroupEncoder, WritePosition } from './group-encoder.ts';
import {
  type Ownership,
  type PreparedLog,
  readStart,
  SyncError,
  syncZeros,
} from './prepared-log.ts';

/** Largest step by which a log's reserved space grows. */
export const LARGEST_RESERVE_STEP_BYTES: number = 8 * 1024 * 1024;

/**
 * Interval of the checks of the file's length: a check beside each write would make small durable
 * writes a third slower (`OpenFile.statSync`).
 */
const LOOK_EVERY_MS = 20;

/** What all logs written in one epoch of a store share. */
export interface LogIdentity {
  readonly storeId: Uint8Array;
  readonly epoch: number;
}

/**
 * The live log. It has one caller, which makes one write at a time. A failed write does not change
 * the position of the log; `cutBack` then restores the file to that length on disk.
 *
 * Its files may be blocking or not. With blocking calls, each method completes without waiting, and
 * `reserveAhead` has written its zeros when it returns: nothing is ever in flight.
 */
export class LogWriter {
  readonly number: number;
  readonly path: string;
  readonly #calls: EitherCalls;
  readonly #file: EitherFile;
  /**
   * The second descriptor, open since the log was created. The system reports a failed write-back
   * only on descriptors that were open at the time of the failure.
   */
  readonly #plain: EitherFile;
  readonly #seed: ChecksumSeed;
  readonly #header: NewFileHeader;
  /** Chosen with the first group. */
  #version: number = WRITTEN_VERSION.log;
  readonly #firstReserveBytes: number;
  readonly #cover: BlockCover = new BlockCover();
  #position: WritePosition;
  /** The position when the whole log was last known to be durable. */
  #synced: WritePosition;
  #state: 'open' | 'writing-volatile' | 'sealed' | 'cut' = 'open';
  #reservedBytes: number;
  #growth: Promise<void> | undefined;
  #growsTo = 0;
  /** The file is at most this long: a failed reservation may have written part of it. */
  #reachedBytes: number;
  #growthFailure: unknown;
  /** Number of writes and cuts in flight. */
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
    this.#reachedBytes = prepared.reservedBytes;
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

  /** Bytes written. 0: not even the header is written. */
  get lengthBytes(): number {
    return this.#position.offset;
  }

  /** Length of the file: written bytes and reserved zeros, including zeros being written. */
  get fileBytes(): number {
    return Math.max(this.#reservedBytes, this.#growsTo);
  }

  /** Whether a group that deletes intervals of keys may come next: the log's version has them. */
  get mayHoldIntervals(): boolean {
    return this.#position.offset === 0 || this.#version >= INTERVAL_VERSION;
  }

  get lastSequence(): bigint {
    return this.#position.lastSequence;
  }

  /** Bytes at the end of the log that are not known to be durable. */
  get unsyncedBytes(): number {
    return this.#position.offset - this.#synced.offset;
  }

  /** Bytes at the start of the log that are known to be durable. */
  get syncedBytes(): number {
    return this.#synced.offset;
  }

  /** Sequence number of the last batch known to be durable. */
  get syncedSequence(): bigint {
    return this.#synced.lastSequence;
  }

  /** Whether the log is complete: sealed, or cut for good. Nothing more is written to it. */
  get isEnded(): boolean {
    return this.#state === 'sealed' || this.#state === 'cut';
  }

  /** The fields by which the next log refers to this one. */
  get asPredecessor(): Predecessor {
    assert(this.isEnded, 'a log is ended before the next one refers to it');
    return {
      number: this.number,
      lengthBytes: this.#position.offset,
      lastSequence: this.#position.lastSequence,
      chain: this.#position.chain,
    };
  }

  /** Encodes a group, a seal or both as the next write. Does not change the log. */
  encode(
    encoder: GroupEncoder,
    parts: { readonly group?: Group | undefined; readonly seal: boolean },
  ): Flow<EncodedWrite> {
    assert(!this.isEnded, 'nothing is written behind a seal');
    const isFirst = this.#position.offset === 0;
    const hasIntervals = parts.group?.hasIntervals === true;
    if (isFirst) this.#version = hasIntervals ? INTERVAL_VERSION : WRITTEN_VERSION.log;
    assert(!hasIntervals || this.mayHoldIntervals, 'older versions have no deletes of intervals');
    const header = isFirst ? this.#header : undefined;
    const unprovenBytes = this.unsyncedBytes;
    const all = { header, version: this.#version, unprovenBytes, ...parts };
    return encoder.encode(this.#position, this.#seed, all);
  }

  /**
   * Writes durably. Everything before must be durable already. Throws the system error; the
   * position is then unchanged.
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

  /** Writes a group that becomes durable by a later `sync`. Throws like `write`. */
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
   * Ensures space for a write before the group is appended elsewhere: what is written over zeros of
   * the file needs no new blocks. Throws the system's error; `cutBack` then removes what it may
   * have left.
   */
  *makeRoom(encoded: EncodedWrite): Flow<void> {
    yield* waited(this.#growth);
    this.#requireGrown();
    if (!this.#mustWait(encoded)) return;
    this.#changes++;
    try {
      this.#reachedBytes = Math.max(this.#reachedBytes, encoded.after.offset);
      yield* writingZeros(this.#plain, this.#reservedBytes, encoded.after.offset);
      this.#reservedBytes = encoded.after.offset;
    } finally {
      this.#changes--;
    }
  }

  /**
   * Whether the file still has its name and its length. Writes to a removed or renamed file, or
   * beyond a truncation, would be lost at the next open. The check runs while the write is in
   * flight, when the event loop has nothing else to do for the group. If the file is renamed or
   * removed after the check, the next write finds out; if it is cut or replaced, the first write
   * {@link LOOK_EVERY_MS} later.
   */
  #isThere(): boolean {
    try {
      // Zeros may have been added since an earlier look.
      return this.#isWhole(LOOK_EVERY_MS) || this.#isWhole(0);
    } catch {
      // If the file was removed on another host, a network file system reports a stale handle.
      return false;
    }
  }

  #isWhole(maxAgeMs: number): boolean {
    const { sizeBytes, linkCount, isNamed } = this.#file.statSync(maxAgeMs);
    return isNamed && linkCount > 0 && sizeBytes >= this.#reservedBytes;
  }

  /** @throws FilesLostError, or DirectoryLostError if the directory itself is lost */
  *#throwLost(): Flow<never> {
    yield* waited(this.#calls.syncDirectory(dirname(this.path)));
    throw FilesLostError.of(this.path);
  }

  /**
   * Zeros must never overwrite a frame: a write beyond the reserved space waits until no zeros are
   * in flight. A write within it has been passed to the system when the call returns, so the caller
   * can do other work meanwhile.
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
    this.#reachedBytes = Math.max(this.#reachedBytes, this.#reservedBytes);
  }

  /**
   * Makes the whole log durable. Call it only between two writes.
   *
   * @throws SyncError: unsynced bytes may be lost, and the call must not be repeated
   */
  *sync(ownership: Ownership): Flow<void> {
    if (this.unsyncedBytes === 0) return;
    try {
      yield* waited(this.#plain.dataSync());
      if (!this.#isThere()) yield* this.#throwLost();
      // The system reports a failed write-back once, so the sync of the zeros may be the one that
      // gets it.
      yield* waited(this.#growth);
      if (this.#growthFailure !== undefined) throw this.#growthFailure;
      // After a pause, another host may have recovered the log without the unsynced bytes.
      yield* waited(ownership.whenHeld());
    } catch (error) {
      throw new SyncError(`${this.path} could not be synced`, error);
    }
    this.#synced = this.#position;
  }

  /**
   * Call it after a write that failed for lack of space. Removes what the write may have left, so
   * that neither a crash nor a later write can bring it back. On return, the log on disk is as
   * before the write. Rejects if the directory is no longer ours: after a pause, another host may
   * have recovered the whole group.
   */
  *cutBack(fence: Ownership): Flow<void> {
    this.#changes++;
    try {
      yield* waited(this.#growth);
      yield* waited(fence.whenHeld());
      yield* waited(this.#plain.truncate(this.#position.offset));
      yield* waited(this.#plain.dataSync());
      this.#reservedBytes = this.#position.offset;
      this.#reachedBytes = this.#reservedBytes;
    } finally {
      this.#changes--;
    }
  }

  /**
   * Ends the log where `cutBack` has cut it, without a seal, because a limit on the file size
   * leaves no space for one. The next log records where this one ends, as after a crash.
   */
  endWithoutSeal(): void {
    assert(this.#reservedBytes === this.#position.offset, 'nothing stands behind the last group');
    assert(this.unsyncedBytes === 0, 'all of a log is durable before the next one is written');
    this.#state = 'cut';
  }

  /**
   * Reserves zeros, up to `limitBytes`, when less than half a step is left. It works in the
   * background, unless the calls block. Call it only between two writes. Lack of space is ignored:
   * the next write gets the error itself. A failed sync must not be retried: it is kept and thrown
   * by the next write.
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

  /** Whether a sync that fails for lack of space may have included a group, not only zeros. */
  get #hasVolatile(): boolean {
    return this.unsyncedBytes > 0 || this.#state === 'writing-volatile';
  }

  *#grow(from: number, to: number): Flow<void> {
    try {
      this.#reachedBytes = Math.max(this.#reachedBytes, to);
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
   * Throws unless the log at its path is this one, with the length at which it was left. (Another
   * host that opens the store truncates the reserved space.) While a write is in flight, only the
   * bytes before it are checked. `calls` may be blocking or not, independent of the log's own.
   */
  *requireUnchanged(calls: EitherCalls): Flow<void> {
    yield* waited(this.#growth);
    const { sizeBytes, start } = yield* readStart(calls, this.path);
    const isInFlight = this.#changes > 0;
    const leastBytes = isInFlight ? this.lengthBytes : this.#reservedBytes;
    const isLength = sizeBytes >= leastBytes && (isInFlight || sizeBytes <= this.#reachedBytes);
    // Without a group the file is all zeros, or empty after `cutBack`.
    const expected = new Uint8Array(this.lengthBytes > 0 ? FILE_HEADER_BYTES : start.length);
    if (this.lengthBytes > 0) encodeFileHeader(expected, this.#header, this.#version);
    const isStart = (isInFlight && this.lengthBytes === 0) || equalBytes(start, expected);
    if (!isLength || !isStart) throw new Error(`${this.path} is not as it was left here`);
  }

  /** Waits for a reservation in flight and closes the files. */
  *close(): Flow<void> {
    yield* waited(this.#growth);
    try {
      yield* waited(this.#plain.close());
    } finally {
      yield* waited(this.#file.close());
    }
  }
}
