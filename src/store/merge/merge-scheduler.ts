import { join } from 'node:path';
import { clearTimeout, monotonicMs, setTimeout } from '../../base/timers.ts';
import { assert } from '../../base/assert.ts';
import {
  CorruptionError,
  DirectoryLostError,
  FilesLostError,
  missingPath,
  StoreBusyError,
  StoreClosedError,
  StoreError,
  StoreFullError,
  StorePoisonedError,
} from '../../base/errors.ts';
import type { DirectoryLock } from '../../directory/held-lock.ts';
import { snapshotName, temporarySnapshotName } from '../../format/file-name.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import type { MergeJob, MergeResult } from '../../jobs/merge.ts';
import type { Table } from '../../table/table.ts';
import type { Committer } from '../commit/committer.ts';
import type { FilesWatch } from '../commit/files-watch.ts';
import type { Health } from '../commit/health.ts';
import type { LogKeeper } from '../commit/log-keeper.ts';
import { MergeCounters, type MergeFigures } from '../observe/merge-figures.ts';
import { MergeDue } from './merge-due.ts';
import { MergeIntake } from './merge-intake.ts';
import { mergeError, MergeFullError, MergeRoom } from './merge-room.ts';
import type { MergeRunner } from './merge-runner.ts';
import { damageDetail } from '../recovery/load-records.ts';
import type { RetainedLogs } from '../changes/retained-logs.ts';
import type { SpaceKeeper } from '../space/space-keeper.ts';
import type { StoreObserver } from '../observe/store-observer.ts';

/** A merge that failed for lack of space or a transient error is retried after this time. */
const RETRY_MS = 5_000;

/** The snapshot on disk that the next merge starts from. */
export interface CurrentSnapshot {
  readonly path: string;
  readonly number: number;
  readonly format: 'lodestore' | 'ancestor';
  readonly fileBytes: number;
}

export interface MergeStats extends MergeFigures {
  /** `stopped`: a merge found damage. Nothing is merged until the store has been repaired. */
  readonly state: 'idle' | 'running' | 'retrying' | 'stopped';
  readonly snapshotBytes: number;
}

export interface MergeSchedulerParts {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly storeId: Uint8Array;
  readonly epoch: number;
  readonly table: Table;
  readonly logs: LogKeeper;
  readonly retained: RetainedLogs;
  readonly committer: Committer;
  readonly health: Health;
  readonly space: SpaceKeeper;
  readonly lock: DirectoryLock;
  readonly watch: FilesWatch;
  /** Closed together with the scheduler. */
  readonly runner: MergeRunner;
  readonly mergeBytes: number;
  readonly logLimitBytes: number | undefined;
  readonly observer: StoreObserver;
  readonly onMerged: (merged: {
    readonly snapshotBytes: number;
    readonly durationMs: number;
  }) => void;
  readonly onFailed: (error: Error) => void;
  /** As of a `CommitGate`. */
  readonly beforeRemoval?: (lastSequence: bigint) => Promise<void> | undefined;
}

type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'running'; readonly done: Promise<Error | undefined> }
  | { readonly kind: 'retrying'; readonly timer: NodeJS.Timeout }
  | { readonly kind: 'stopped' };

/**
 * Decides when a merge is due, runs one at a time, and replaces merged files by the new snapshot.
 *
 * Scheduler: idle -> running -> idle | retrying (a timer) | stopped (damage). Input of a merge
 * (`MergeIntake`): none -> taken -> none, or left by a failed merge and taken again. Steps:
 *
 * 1. Intake: the live log is sealed and synced; between two groups the live delta is frozen. Both
 *    then hold the same batches. A retry takes the input that was left instead.
 * 2. The job folds snapshot and logs into `snapshot_N.tmp`, syncs it and reads it back; N is the
 *    number of the last log. Changed chunks go into the base, where frozen updates shadow them with
 *    the same records. Without space it writes nothing and returns the folded logs as one layer.
 * 3. Rename to `snapshot_N`, then sync the directory. The lock is checked before and after.
 * 4. Only then frozen updates are dropped, and logs up to N and the old snapshot are removed.
 *
 * A crash before 3 leaves a temporary file, which the next open removes. Before the sync in 3, it
 * leaves either snapshot, with all logs that this needs. After the sync, old files are leftovers.
 * A failed rename or sync makes the directory's state unknown and poisons. Others change nothing.
 *
 * Concurrent: commits (into the new live delta and log), reads, backups (with descriptors of what 4
 * removes) and change feeds (`RetainedLogs` keeps merged logs for them); never a second merge.
 */
export class MergeScheduler {
  readonly #parts: MergeSchedulerParts;
  readonly #due: MergeDue;
  readonly #abort: AbortController = new AbortController();
  #snapshot: CurrentSnapshot | undefined;
  #state: State = { kind: 'idle' };
  readonly #counters: MergeCounters = new MergeCounters();
  readonly #intake: MergeIntake;
  /** Sequence number of the last merged batch since the store was opened. */
  #mergedSequence = 0n;
  #nextReliefMs = 0;

  constructor(parts: MergeSchedulerParts, snapshot: CurrentSnapshot | undefined) {
    this.#parts = parts;
    this.#due = new MergeDue(parts);
    this.#snapshot = snapshot;
    this.#intake = new MergeIntake(parts);
  }

  /** The newest snapshot. `logs` hold everything newer. */
  get snapshot(): CurrentSnapshot | undefined {
    return this.#snapshot;
  }

  get stats(): MergeStats {
    return {
      state: this.#state.kind,
      snapshotBytes: this.#snapshot?.fileBytes ?? 0,
      ...this.#counters.copy(),
    };
  }

  /** Starts a merge if one is due and none is running. */
  consider(): void {
    const isIdle = this.#state.kind === 'idle' && !this.#abort.signal.aborted;
    if (isIdle && this.#due.isDue(this.#snapshotBytes)) void this.#start();
  }

  /** Starts a merge because writes are refused for lack of space. Rate-limited. */
  relieve(): void {
    const nowMs = monotonicMs();
    const { logs } = this.#parts;
    if (this.#state.kind !== 'idle' || this.#abort.signal.aborted) return;
    if (logs.totalBytes === 0 || nowMs < this.#nextReliefMs) return;
    this.#nextReliefMs = nowMs + RETRY_MS;
    void this.#start();
  }

  /** Merges everything written before the call. Rejects with the reason if that fails. */
  async mergeNow(): Promise<void> {
    const { logs, health } = this.#parts;
    let wantedSequence: bigint | undefined;
    do {
      while (this.#state.kind === 'running') await this.#state.done;
      wantedSequence ??= logs.lastSequence;
      if (health.isPoisoned) throw health.poisonedWrite('not-applied');
      if (this.#abort.signal.aborted) throw new StoreClosedError('the store was closed');
      if (this.#state.kind === 'stopped') throw this.#counters.lastError!;
      const error = await this.#start();
      if (error !== undefined) throw error;
      // A retry may have merged only the input of a failed merge.
    } while (logs.totalBytes > 0 && this.#mergedSequence < wantedSequence);
  }

  /** Aborts a running merge; its temporary file is removed. */
  async close(): Promise<void> {
    this.#abort.abort();
    if (this.#state.kind === 'retrying') clearTimeout(this.#state.timer);
    if (this.#state.kind === 'running') await this.#state.done;
    await this.#parts.runner.close();
  }

  get #snapshotBytes(): number {
    return this.#snapshot?.fileBytes ?? 0;
  }

  /** Delays a write while merges do not keep up. Resolves with the error if it is rejected. */
  async admit(): Promise<StoreError | undefined> {
    const verdict = this.#verdict;
    if (typeof verdict !== 'number') return verdict;
    await new Promise((resolve) => setTimeout(resolve, verdict));
    return undefined;
  }

  /** Like `admit`, without waiting: returns a `StoreBusyError` if `admit` would wait. */
  admitNow(): StoreError | undefined {
    const verdict = this.#verdict;
    return typeof verdict === 'number' ? new StoreBusyError('merges') : verdict;
  }

  get #verdict(): number | StoreError | undefined {
    return this.#due.verdict(this.#snapshotBytes, {
      isMerging: this.#state.kind === 'running',
      lastError: this.#counters.lastError,
      directory: this.#parts.directory,
    });
  }

  /** Whether `admit` may wait or refuse. A cheap check, which is made first. */
  get isBacklogged(): boolean {
    return this.#due.mayHaveBacklog;
  }

  #start(): Promise<Error | undefined> {
    if (this.#state.kind === 'retrying') clearTimeout(this.#state.timer);
    const done = this.#run().catch((bug: unknown) => {
      this.#state = { kind: 'stopped' };
      return this.#parts.health.broken(bug);
    });
    this.#state = { kind: 'running', done };
    return done;
  }

  /** Runs one merge. Never rejects: a failure is recorded, reported, retried, and returned. */
  async #run(): Promise<Error | undefined> {
    // Continues after the state is set to `running`.
    await Promise.resolve();
    let failure: Error | undefined;
    try {
      await this.#merge();
      this.#state = { kind: 'idle' };
    } catch (error) {
      failure = this.#fail(error as Error);
    }
    this.#parts.space.mergeEnded();
    if (!this.#abort.signal.aborted && !this.#parts.health.isPoisoned) this.consider();
    return failure;
  }

  #fail(error: Error): Error {
    this.#state = { kind: 'idle' };
    if (this.#abort.signal.aborted) {
      const isOwn = error instanceof StoreError;
      return isOwn ? error : new StoreClosedError('the store was closed during the merge');
    }
    this.#counters.fail(error);
    this.#parts.observer.failed('merge', error);
    if (error instanceof CorruptionError) {
      this.#state = { kind: 'stopped' };
    } else if (!this.#parts.health.isPoisoned) {
      const retry = (): void => {
        this.#state = { kind: 'idle' };
        this.consider();
      };
      const timer = setTimeout(() => this.#parts.health.guard(retry), RETRY_MS).unref();
      this.#state = { kind: 'retrying', timer };
    }
    this.#parts.onFailed(error);
    return error;
  }

  /** Merges. For lack of space, releases the reserve if that may be enough, and tries again. */
  async #merge(): Promise<void> {
    for (;;) {
      try {
        return await this.#tryMerge();
      } catch (error) {
        if (!(error instanceof StoreFullError) || this.#abort.signal.aborted) throw error;
        const missingBytes = error instanceof MergeFullError ? error.missingBytes : 0;
        if (!(await this.#parts.space.lendToMerge(missingBytes))) throw error;
      }
    }
  }

  async #tryMerge(): Promise<void> {
    try {
      await this.#mergeOnce();
    } catch (error) {
      this.#intake.leave({ lackedSpace: error instanceof StoreFullError });
      throw error;
    }
  }

  async #mergeOnce(): Promise<void> {
    const { fs, directory, logs, storeId, epoch } = this.#parts;
    const oldBytes = (this.#snapshot?.fileBytes ?? 0) + logs.totalBytes;
    const room = await MergeRoom.measure(fs, directory, oldBytes);
    room.require(this.#intake.neededBytes ?? 0);
    const intake = await this.#intake.take();
    if (intake === undefined) return;
    const { last } = intake;
    const temporaryPath = join(directory, temporarySnapshotName(last.number));
    const target = { storeId, epoch, last, number: last.number, temporaryPath };
    const source = { snapshot: this.#snapshot, logs: intake.logs };
    await this.#mergeObserved(
      { kind: 'merge', ...source, ...target, limitBytes: room.limitBytes },
      room,
    );
  }

  async #mergeObserved(job: MergeJob, room: MergeRoom): Promise<void> {
    const logBytes = job.logs.reduce((sum, log) => sum + log.lengthBytes, 0);
    const oldSnapshotBytes = this.#snapshot?.fileBytes ?? 0;
    this.#counters.begin(logBytes + oldSnapshotBytes);
    const details = { logs: job.logs.length, logBytes, oldSnapshotBytes };
    try {
      await this.#parts.observer.merge(details, async () => {
        const result = await this.#runJob(job);
        if (result.kind === 'corrupt') {
          const damage = new CorruptionError(damageDetail(this.#parts.directory, result));
          throw await this.#parts.watch.causeOf(damage);
        }
        if (result.kind === 'merged') return this.#install(job, result);
        const refusal = room.refusal(result.neededBytes);
        const { neededBytes } = refusal;
        this.#intake.leave({ lackedSpace: true, neededBytes, run: result.run });
        throw refusal;
      });
    } finally {
      this.#counters.end();
    }
  }

  async #runJob(job: MergeJob): Promise<MergeResult> {
    const { table, runner, health } = this.#parts;
    let result: MergeResult;
    try {
      result = await runner.run(job, {
        signal: this.#abort.signal,
        onProgress: (bytesRead) => {
          this.#counters.progressBytes = bytesRead;
        },
        onMessage: ({ from, to, columns, isWhole }) =>
          health.guard(() => table.replaceChunks(from, to, columns, isWhole)),
      });
    } catch (error) {
      if (this.#abort.signal.aborted) throw error;
      if (error instanceof DirectoryLostError) health.poisonWith(error);
      const inputs = [job.snapshot?.path, ...job.logs.map(({ path }) => path)];
      const missing = inputs.find((path) => path !== undefined && path === missingPath(error));
      if (missing !== undefined) throw health.broken(FilesLostError.of(missing, error));
      throw mergeError(error, `merging into ${job.temporaryPath} failed`, job.temporaryPath);
    }
    if (health.isPoisoned) throw health.poisonedWrite('not-applied');
    return result;
  }

  /** Renames the new snapshot, makes the name durable, then removes the files that it replaces. */
  async #install(
    job: MergeJob,
    result: Extract<MergeResult, { kind: 'merged' }>,
  ): Promise<{ readonly snapshotBytes: number; readonly durationMs: number }> {
    const { fs, directory, table, logs, retained, beforeRemoval } = this.#parts;
    const path = join(directory, snapshotName(job.number));
    await beforeRemoval?.(job.last.lastSequence);
    await this.#requireHeld();
    try {
      await fs.rename(job.temporaryPath, path);
      await fs.syncDirectory(directory);
    } catch (error) {
      throw this.#poison(path, error);
    }
    const replaced = this.#snapshot;
    this.#snapshot = {
      path,
      number: job.number,
      format: 'lodestore',
      fileBytes: result.written.fileBytes,
    };
    try {
      table.dropFrozen(result.written.totals.contentHash);
    } catch (bug) {
      throw this.#poison(path, bug);
    }
    this.#intake.complete();
    this.#mergedSequence = job.last.lastSequence;
    const durationMs = this.#counters.complete(result);
    const obsolete = retained.retire(logs.forgetUpTo(job.number));
    if (replaced !== undefined) obsolete.push(replaced.path);
    for (const name of obsolete) {
      assert(name !== path, 'a merge never removes a name that it has just produced');
      await this.#requireHeld();
      // A file that cannot be removed now is a leftover, and the next open removes it.
      await fs.unlink(name).catch(() => undefined);
    }
    const snapshotBytes = result.written.fileBytes;
    this.#parts.onMerged({ snapshotBytes, durationMs });
    return { snapshotBytes, durationMs };
  }

  /** Waits through a pause. */
  async #requireHeld(): Promise<void> {
    const { lock, health } = this.#parts;
    try {
      await lock.whenHeld();
    } catch (error) {
      throw health.broken(error);
    }
  }

  #poison(path: string, cause: unknown): StorePoisonedError {
    const message = `renaming the new snapshot to ${path} failed; the state of the directory is unknown`;
    return this.#parts.health.broken(new StorePoisonedError(message, { cause, path }));
  }
}
