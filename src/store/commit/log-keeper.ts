import { join } from 'node:path';
import { assert, present } from '../../base/assert.ts';
import { FencedError, isLackOfSpace, StoreError, StorePoisonedError } from '../../base/errors.ts';
import { storeErrorOf } from '../../base/store-error-of.ts';
import type { Predecessor } from '../../format/file-header.ts';
import { logName } from '../../format/file-name.ts';
import { begin, isPromise, waited, type Flow } from '../../base/flow.ts';
import type { EitherCalls } from '../../fs/file-system.ts';
import type { MergeLog } from '../../jobs/merge.ts';
import { LogWriter, type LogIdentity } from '../../log/log-writer.ts';
import {
  FIRST_RESERVE_BYTES,
  prepareLog,
  requireBlank,
  SyncError,
  tried,
  type PreparedLog,
} from '../../log/prepared-log.ts';
import type { SyncedEnd } from './claims.ts';
import type { Fence } from './fence.ts';

/**
 * While merges do not keep up, a log grows to the bytes of the waiting logs divided by this. So
 * their number stays small.
 */
const BACKLOG_PART = 64;
/** Bytes reserved for a log if there is no space for more. */
const LEAST_RESERVE_BYTES: number = 8 * 1024;

/** A file of the store, and its minimum length. */
export interface KeptFile {
  readonly path: string;
  readonly lengthBytes: number;
}

/** A log that waits for a merge. `fileBytes` includes the zeros after its content. */
export interface ClosedLog extends MergeLog {
  readonly fileBytes: number;
}

export interface LogKeeperParts {
  readonly fence: Fence;
  /** Whether a new log may reserve its usual size. */
  readonly isRoomForZeros: () => boolean;
  readonly rotateBytes: number;
}

/** The log that will follow the live one. */
type NextLog =
  | { readonly kind: 'none' }
  | { readonly kind: 'preparing'; readonly done: Promise<PreparedLog> }
  | { readonly kind: 'ready'; readonly log: PreparedLog };

/**
 * The store's logs: closed logs that wait for a merge, the live log, and the prepared next one.
 * With blocking calls, the next log is prepared when `prepareNext` returns, and no method waits.
 */
export class LogKeeper {
  readonly #calls: EitherCalls;
  readonly #directory: string;
  readonly #identity: LogIdentity;
  readonly #fence: Fence;
  readonly #isRoomForZeros: () => boolean;
  readonly #rotateBytes: number;
  readonly #reserveBytes: number | undefined;
  #closed: ClosedLog[];
  #live: LogWriter | undefined;
  #last: Predecessor;
  #acknowledged: SyncedEnd;
  #next: NextLog = { kind: 'none' };
  #isClosed = false;

  constructor(
    calls: EitherCalls,
    directory: string,
    identity: LogIdentity,
    parts: LogKeeperParts,
    recovered: {
      readonly closed: readonly ClosedLog[];
      readonly last: Predecessor;
      readonly reserveBytes: number | undefined;
    },
  ) {
    this.#calls = calls;
    this.#directory = directory;
    this.#identity = identity;
    this.#fence = parts.fence;
    this.#isRoomForZeros = parts.isRoomForZeros;
    this.#rotateBytes = parts.rotateBytes;
    this.#closed = [...recovered.closed];
    this.#last = recovered.last;
    this.#acknowledged = recovered.last;
    this.#reserveBytes = recovered.reserveBytes;
  }

  /** Logs that are not merged, oldest first. */
  get closedLogs(): readonly ClosedLog[] {
    return this.#closed;
  }

  /** All unmerged logs. Of the live log, only the synced part must be on disk. */
  get keptFiles(): readonly KeptFile[] {
    const live = this.#live;
    if (live === undefined) return this.#closed;
    return [...this.#closed, { path: live.path, lengthBytes: live.syncedBytes }];
  }

  /** The last closed log, as its successor refers to it. */
  get lastClosed(): Predecessor {
    return this.#last;
  }

  get live(): LogWriter | undefined {
    return this.#live;
  }

  /** Bytes of all unmerged logs. */
  get totalBytes(): number {
    let sum = this.#live?.lengthBytes ?? 0;
    for (const log of this.#closed) sum += log.lengthBytes;
    return sum;
  }

  /** Bytes of their files and of the prepared log, whether or not it exists yet. */
  get fileBytes(): number {
    let sum = this.#reserveBytes ?? FIRST_RESERVE_BYTES;
    sum += this.#live?.fileBytes ?? 0;
    for (const log of this.#closed) sum += log.fileBytes;
    return sum;
  }

  /** Length at which the live log is closed: more than the option while merges do not keep up. */
  get rotateAtBytes(): number {
    let closedBytes = 0;
    for (const log of this.#closed) closedBytes += log.lengthBytes;
    return Math.max(this.#rotateBytes, Math.floor(closedBytes / BACKLOG_PART));
  }

  get logCount(): number {
    return this.#closed.length + (this.#live === undefined ? 0 : 1);
  }

  get lastSequence(): bigint {
    return this.#live?.lastSequence ?? this.#last.lastSequence;
  }

  /** Bytes at the end of the live log that are not known to be durable. Everything else is. */
  get unsyncedBytes(): number {
    return this.#live?.unsyncedBytes ?? 0;
  }

  /**
   * The end of what change feeds and followers may have: it is durable and visible, and the fence
   * has let it through. `synced` is ahead of it while the rows of a written group are being
   * indexed, and while the lease is in doubt.
   */
  get acknowledged(): SyncedEnd {
    return this.#acknowledged;
  }

  /**
   * Acknowledges all that is durable. Call it when the fence has let it through, in the turn of the
   * event loop in which the rows are shown.
   */
  acknowledge(): void {
    this.#acknowledged = this.synced;
  }

  /** The end of the durable part of the logs, which may include a group that is not shown yet. */
  get synced(): SyncedEnd {
    const live = this.#live;
    if (live === undefined || live.syncedBytes === 0) return this.#last;
    const { number, syncedBytes, syncedSequence } = live;
    return { number, lengthBytes: syncedBytes, lastSequence: syncedSequence };
  }

  /** Whether the next log is prepared, so that rotating does not wait. */
  get canRotate(): boolean {
    return this.#next.kind === 'ready';
  }

  /** Whether the next log is being prepared in the background. */
  get isPreparing(): boolean {
    return this.#next.kind === 'preparing';
  }

  /** Prepares the next log, or starts to, unless that is done or in progress. Never throws. */
  prepareNext(): void {
    if (this.#next.kind !== 'none' || this.#isClosed || this.#fence.health.isPoisoned) return;
    try {
      this.#startNext();
    } catch {
      // The next call that needs the log tries again and reports the error.
    }
  }

  #startNext(): NextLog {
    if (this.#fence.health.isPoisoned) throw this.#fence.health.poisonedWrite('not-applied');
    const number = (this.#live?.number ?? this.#last.number) + 1;
    const path = join(this.#directory, logName(number));
    const prepared = begin(this.#prepareAs(path, number));
    if (!isPromise(prepared)) return { kind: 'ready', log: prepared };
    prepared.catch(() => undefined);
    this.#next = { kind: 'preparing', done: prepared };
    return this.#next;
  }

  *#prepareAs(path: string, number: number): Flow<PreparedLog> {
    try {
      const log = yield* this.#prepare(path, number);
      this.#next = { kind: 'ready', log };
      return log;
    } catch (error) {
      this.#next = { kind: 'none' };
      if (error instanceof FencedError) this.#fence.health.poisonWith(error);
      // A failed sync must not be retried, because it is unknown what it lost.
      if (error instanceof SyncError && !isLackOfSpace(error.cause)) {
        const { cause } = error;
        this.#fence.health.poisonWith(
          new StorePoisonedError(`preparing ${path} failed`, { cause, path }),
        );
      }
      throw error;
    }
  }

  /**
   * Prepares a log of the usual size. On a full disk it prepares a small one, because deletes and
   * merges need the rest.
   */
  *#prepare(path: string, number: number): Flow<PreparedLog> {
    const calls = this.#calls;
    const directory = this.#directory;
    // After a pause, another host may have the store, and our new name would disturb it.
    yield* waited(this.#fence.whenHeld());
    if (this.#isRoomForZeros()) {
      try {
        return yield* prepareLog(calls, directory, path, number, this.#fence, this.#reserveBytes);
      } catch (error) {
        if (!isLackOfSpace(error)) throw error;
      }
    }
    return yield* prepareLog(calls, directory, path, number, this.#fence, LEAST_RESERVE_BYTES);
  }

  /** The prepared log, when there is one. Throws if it cannot be prepared. */
  *#prepared(): Flow<PreparedLog> {
    const next = this.#next.kind === 'none' ? this.#startNext() : this.#next;
    assert(next.kind !== 'none', 'a log is being prepared');
    return next.kind === 'ready' ? next.log : yield* waited(next.done);
  }

  /**
   * The log to write to. Waits while the first one is prepared.
   *
   * @throws StoreFullError or StoreError with outcome `not-applied` if it could not be created
   */
  *writable(): Flow<LogWriter> {
    return this.#live ?? (yield* this.#becomeLive());
  }

  /** Waits until rotating is possible. Returns the error, like that of `writable`, if it is not. */
  *waitForNext(): Flow<StoreError | undefined> {
    try {
      yield* this.#prepared();
      return undefined;
    } catch (error) {
      return this.#creationError(error);
    }
  }

  /** Replaces the live log, which has ended, by the prepared one. */
  *replaceLive(): Flow<void> {
    const ended = present(this.#live, 'only a live log is ended');
    assert(ended.isEnded, 'a log is ended before it is replaced');
    this.#last = ended.asPredecessor;
    const { number, path, lengthBytes, fileBytes, lastSequence } = ended;
    this.#closed.push({ number, path, lengthBytes, fileBytes, lastSequence });
    this.#live = undefined;
    // Each write was durable, so a failed close loses nothing.
    yield* tried(() => begin(ended.close()));
    if (this.#next.kind !== 'none') yield* this.#becomeLive();
  }

  *#becomeLive(): Flow<LogWriter> {
    let prepared: PreparedLog;
    try {
      prepared = yield* this.#prepared();
    } catch (error) {
      throw this.#creationError(error);
    }
    assert(prepared.number === this.#last.number + 1, 'logs are numbered without a gap');
    this.#next = { kind: 'none' };
    const live = new LogWriter(this.#calls, prepared, this.#identity, this.#last);
    this.#live = live;
    return live;
  }

  #creationError(error: unknown): StoreError {
    if (this.#fence.health.isPoisoned) return this.#fence.health.poisonedWrite('not-applied');
    const cause = error instanceof SyncError ? error.cause : error;
    const work = { what: 'a new log could not be made', path: this.#directory };
    const mapped = storeErrorOf(cause, { ...work, outcome: 'not-applied' });
    if (mapped instanceof StoreError) return mapped;
    const fields = { cause, outcome: 'not-applied' as const, path: work.path };
    return new StoreError('LODESTORE_IO', work.what, fields);
  }

  /** Throws unless the live log and the prepared one are on disk as they were left. */
  *requireUnchanged(calls: EitherCalls): Flow<void> {
    if (this.#live !== undefined) yield* this.#live.requireUnchanged(calls);
    if (this.#next.kind === 'ready') yield* requireBlank(calls, this.#next.log);
  }

  /** Removes logs up to `number`, which were merged, from the list. Does not remove files. */
  forgetUpTo(number: number): ClosedLog[] {
    const merged = this.#closed.filter((log) => log.number <= number);
    this.#closed = this.#closed.filter((log) => log.number > number);
    return merged;
  }

  /** Closes all files, and removes prepared or live logs that are empty. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const prepared = await this.#lastPrepared();
    this.#next = { kind: 'none' };
    const live = this.#live;
    this.#live = undefined;
    const unused: string[] = [];
    if (prepared !== undefined) unused.push(prepared.path);
    if (live?.lengthBytes === 0) unused.push(live.path);
    try {
      if (prepared !== undefined) await begin(closePrepared(prepared));
    } finally {
      // Zeros may be on their way into the live log. The lock is released only after them.
      if (live !== undefined) await begin(live.close());
    }
    for (const path of unused) {
      if (this.#fence.health.isPoisoned || !(await this.#isHeld())) return;
      await begin(tried(() => this.#calls.unlink(path)));
    }
  }

  async #lastPrepared(): Promise<PreparedLog | undefined> {
    const next = this.#next;
    if (next.kind === 'ready') return next.log;
    return next.kind === 'none' ? undefined : next.done.catch(() => undefined);
  }

  /** Waits through a pause. */
  async #isHeld(): Promise<boolean> {
    try {
      await this.#fence.whenHeld();
      return true;
    } catch (error) {
      if (error instanceof FencedError) return false;
      throw error;
    }
  }
}

function* closePrepared({ plain, file }: PreparedLog): Flow<void> {
  try {
    yield* waited(plain.close());
  } finally {
    yield* waited(file.close());
  }
}
