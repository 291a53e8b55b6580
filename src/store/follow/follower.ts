import { equalBytes } from '../../base/bytes.ts';
import { present } from '../../base/assert.ts';
import { AbortedError, PositionExpiredError, StoreClosedError } from '../../base/errors.ts';
import { onAbort } from '../../base/abort.ts';
import { begin } from '../../base/flow.ts';
import type { Pacing } from '../../base/work-slices.ts';
import { storeErrorOf } from '../../base/store-error-of.ts';
import { readSyncedEnd } from '../../directory/claim-file.ts';
import { listDirectory } from '../../directory/listing.ts';
import { holdsInterval } from '../../format/group-rows.ts';
import type { LogGroup } from '../../log/log-reader.ts';
import type { Table } from '../../table/table.ts';
import { publishExpanded } from '../commit/expand-batch.ts';
import { indexGroup } from '../commit/publisher.ts';
import type { StartTimer } from '../commit/log-sync.ts';
import { isDueByMemory } from '../merge/merge-due.ts';
import { LogFollower, type FollowedDirectory } from './log-follower.ts';

/** What a directory held when it was read whole. */
export interface ReadStore {
  readonly table: Table;
  readonly storeId: Uint8Array;
  readonly number: number;
  readonly lastSequence: bigint;
  /** Number of the snapshot; undefined without one. */
  readonly snapshotNumber: number | undefined;
}

export interface FollowerParts {
  readonly at: FollowedDirectory;
  readonly pacing: Pacing;
  readonly startTimer: StartTimer;
  /** Milliseconds between two checks. Undefined: only `refresh` checks. */
  readonly everyMs: number | undefined;
  /**
   * As for merges: the directory is read again to free memory when a merge would be due by memory.
   */
  readonly mergeBytes: number;
  /** Reads the whole directory, up to what is settled. */
  readonly read: (signal: AbortSignal) => Promise<ReadStore>;
}

/** The store that shows the table. */
export interface FollowerHost {
  /** Resolves when the table can take in rows. */
  readonly whenWarm: Promise<void>;
  /** Called when a check fails; not again while the reason stays the same. */
  readonly onFailed: (error: Error) => void;
}

interface Waiter {
  readonly sequence: bigint;
  readonly settle: (error?: unknown) => void;
}

/** Between two checks while `reached` waits for a batch. */
const WAITING_EVERY_MS = 10;

/**
 * Keeps the table of a read-only store up to date with a directory that another store writes to.
 * Takes no lock and changes nothing.
 *
 * A check, one at a time:
 * 1. It reads up to where the writer has recorded that all is durable and acknowledged
 *    (`readSyncedEnd`). Bytes after that end are not read, because they may be truncated.
 * 2. It reads the groups up to there (`LogFollower`), and publishes each as the writer has: a
 *    reader sees whole groups, in order. An open log stays readable after a merge has removed its
 *    name.
 * 3. If a log is gone before it was read, or does not follow the one before it, the whole directory
 *    is read, as at an open, and the table is replaced. The same happens when superseded rows fill
 *    memory and a newer snapshot does not have them.
 *
 * The shown state never goes back: if the whole directory is read, and holds less or another store,
 * that is a `PositionExpiredError`, and the shown state stays. An end at or before the shown batch
 * is not read: after the crash of another host, the lock file may show an older note for a while.
 */
export class Follower {
  readonly #parts: FollowerParts;
  readonly #abort: AbortController = new AbortController();
  readonly #waiters: Set<Waiter> = new Set();
  #table: Table;
  #logs: LogFollower | undefined;
  #lastSequence: bigint;
  #snapshotNumber: number | undefined;
  #looking: Promise<void> | undefined;
  #stopTimer: () => void = () => undefined;
  #lastError: Error | undefined;
  #host: FollowerHost | undefined;

  /** `isSettled`: nothing in `read` can be truncated. Otherwise the first check replaces it. */
  constructor(parts: FollowerParts, read: ReadStore, isSettled: boolean) {
    this.#parts = parts;
    this.#table = read.table;
    this.#lastSequence = read.lastSequence;
    this.#snapshotNumber = read.snapshotNumber;
    if (isSettled) this.#logs = new LogFollower(parts.at, read);
  }

  get table(): Table {
    return this.#table;
  }

  get lastSequence(): bigint {
    return this.#lastSequence;
  }

  /** Why the last check failed; undefined if it did not. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** Milliseconds between two checks; undefined: only `refresh` checks. */
  get everyMs(): number | undefined {
    return this.#parts.everyMs;
  }

  /** Starts the periodic checks. Called once, before any other method. */
  start(host: FollowerHost): void {
    this.#host = host;
    this.#arm();
  }

  /** Checks now. When it resolves, everything that was settled before the call is shown. */
  async refresh(): Promise<void> {
    this.#requireOpen();
    // A running check may have read the end before this call.
    await this.#looking?.catch(() => undefined);
    this.#requireOpen();
    await this.#look();
  }

  /** Resolves when batch `sequence` is shown. Rejects when a check fails. */
  reached(sequence: bigint, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#requireOpen();
      if (signal?.aborted === true) throw abortedWait(signal);
      if (this.#lastSequence >= sequence) {
        resolve();
        return;
      }
      const stop = signal && onAbort(signal, () => waiter.settle(abortedWait(signal)));
      const waiter: Waiter = {
        sequence,
        settle: (error) => {
          if (!this.#waiters.delete(waiter)) return;
          stop?.();
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      this.#waiters.add(waiter);
      this.#lookInBackground();
    });
  }

  /** Resolves when nothing is read any more. */
  async close(): Promise<void> {
    this.#abort.abort(new StoreClosedError());
    this.#stopTimer();
    for (const waiter of this.#waiters) waiter.settle(new StoreClosedError());
    await this.#looking?.catch(() => undefined);
    await this.#logs?.close();
  }

  #requireOpen(): void {
    if (this.#abort.signal.aborted) throw new StoreClosedError();
  }

  /** As `promise`, but rejects at once when the store is closed. */
  #unlessClosed(promise: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#requireOpen();
      const stop = onAbort(this.#abort.signal, () => reject(new StoreClosedError()));
      void promise.then(resolve, reject).finally(stop);
    });
  }

  #arm(): void {
    this.#stopTimer();
    const { everyMs, startTimer } = this.#parts;
    const isAwaited = this.#waiters.size > 0;
    const delayMs = isAwaited ? Math.min(everyMs ?? Infinity, WAITING_EVERY_MS) : everyMs;
    if (delayMs === undefined || this.#abort.signal.aborted) return;
    const look = (): void => this.#lookInBackground();
    this.#stopTimer = startTimer(delayMs, look, isAwaited ? 'process' : undefined);
  }

  #lookInBackground(): void {
    if (this.#looking !== undefined || this.#abort.signal.aborted) return;
    this.#look().catch((error: unknown) => {
      for (const waiter of this.#waiters) waiter.settle(error);
    });
  }

  #look(): Promise<void> {
    this.#looking ??= this.#update().finally(() => {
      this.#looking = undefined;
      this.#arm();
    });
    return this.#looking;
  }

  async #update(): Promise<void> {
    const host = present(this.#host, 'the follower was started');
    try {
      await this.#unlessClosed(host.whenWarm);
      await this.#followLogs();
      this.#lastError = undefined;
    } catch (error) {
      this.#requireOpen();
      const what = 'the store could not be followed';
      const failure = storeErrorOf(error, { what, path: this.#parts.at.directory }) as Error;
      const isNew = failure.message !== this.#lastError?.message;
      this.#lastError = failure;
      if (isNew) host.onFailed(failure);
      throw failure;
    }
    for (const waiter of this.#waiters) {
      if (waiter.sequence <= this.#lastSequence) waiter.settle();
    }
  }

  async #followLogs(): Promise<void> {
    const { fs, directory, storeId } = this.#parts.at;
    const end = await readSyncedEnd(fs, directory, storeId);
    const logs = this.#logs;
    if (logs === undefined) return this.#readWhole();
    if (end === undefined) return;
    const result = await logs.readUpTo(end, (group) => this.#take(group));
    if (result === 'gap' || (await this.#isMemoryFreed())) await this.#readWhole();
  }

  async #take({ rows, batchRecordCounts }: LogGroup): Promise<void> {
    this.#abort.signal.throwIfAborted();
    const table = this.#table;
    if (!table.hasRoomFor(rows.length)) table.freeze();
    // A batch that deletes a range of keys is a group of its own.
    if (batchRecordCounts.length === 1 && holdsInterval(rows)) await this.#beginExpanded(rows);
    else {
      const region = table.reserve(rows.length);
      region.bytes.set(rows);
      table.beginPublish(region, rows.length);
    }
    await begin(indexGroup(table, this.#parts.pacing));
    table.endPublish();
    this.#lastSequence += BigInt(batchRecordCounts.length);
  }

  async #beginExpanded(rows: Uint8Array): Promise<void> {
    const { pacing } = this.#parts;
    const table = this.#table;
    const refusal = await begin(publishExpanded(table, rows, pacing));
    if (refusal === undefined) return;
    table.freeze();
    const again = await begin(publishExpanded(table, rows, pacing));
    if (again !== undefined) throw again;
  }

  /** Whether a newer snapshot is there, and reading it would free so much memory. */
  async #isMemoryFreed(): Promise<boolean> {
    const { at, mergeBytes } = this.#parts;
    const { fs, directory } = at;
    const { mergeEffect } = this.#table;
    if (!isDueByMemory(mergeEffect, mergeBytes)) return false;
    const newest = (await listDirectory(fs, directory)).snapshots.at(-1);
    return newest !== undefined && newest > (this.#snapshotNumber ?? -1);
  }

  async #readWhole(): Promise<void> {
    const { storeId } = this.#parts.at;
    const read = await this.#parts.read(this.#abort.signal);
    this.#abort.signal.throwIfAborted();
    const isSame = equalBytes(read.storeId, storeId);
    if (!isSame || read.lastSequence < this.#lastSequence) {
      // What was read at the open may have ended in a group that was not settled, and is not yet.
      if (isSame && this.#logs === undefined) return;
      throw this.#replaced(read, isSame);
    }
    await this.#logs?.close();
    this.#table = read.table;
    this.#lastSequence = read.lastSequence;
    this.#snapshotNumber = read.snapshotNumber;
    this.#logs = new LogFollower(this.#parts.at, read);
  }

  #replaced({ lastSequence }: ReadStore, isSame: boolean): PositionExpiredError {
    const { directory } = this.#parts.at;
    const position = this.#lastSequence;
    const found = isSame ? `the store ends at batch ${lastSequence}` : 'there is another store';
    return new PositionExpiredError(
      `${directory} cannot be followed from batch ${position}: its files were replaced, and now ${found}; open it again`,
      { position, oldestPosition: lastSequence, lastPosition: lastSequence },
      { path: directory },
    );
  }
}

function abortedWait(signal: AbortSignal): AbortedError {
  return new AbortedError('waiting for a batch was aborted', { cause: signal.reason });
}
