import { join } from 'node:path';
import { clearTimeout, monotonicMs, setTimeout } from '../../base/timers.ts';
import { assert } from '../../base/assert.ts';
import {
  CorruptionError,
  DirectoryLostError,
  FilesLostError,
  missingPath,
  StoreClosedError,
  StoreError,
  StoreFullError,
  StorePoisonedError,
} from '../../base/errors.ts';
import type { DirectoryLock } from '../../directory/directory-lock.ts';
import { storeErrorOf } from '../../base/store-error-of.ts';
import { snapshotName, temporarySnapshotName } from '../../format/file-name.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import type { MergeJob, MergeLog, MergeResult } from '../../jobs/merge.ts';
import type { Table } from '../../table/table.ts';
import type { Committer } from '../commit/committer.ts';
import type { Health } from '../commit/health.ts';
import type { LogKeeper } from '../commit/log-keeper.ts';
import { MergeCounters, type MergeFigures } from '../observe/merge-figures.ts';
import { MergeDue, type Backlog } from './merge-due.ts';
import type { MergeRunner } from './merge-runner.ts';
import { damageDetail } from '../recovery/recovery.ts';
import type { RetainedLogs } from '../changes/retained-logs.ts';
import type { SpaceKeeper } from '../space/space-keeper.ts';
import type { StoreObserver } from '../observe/store-observer.ts';

/** A merge that failed for lack of space or a passing error is tried again after this. */
const RETRY_MS = 5_000;
const SPACE_SLACK_BYTES: number = 1024 * 1024;
/** At the limit of what waits for a merge writes are not held up, at twice the limit by this. */
const DELAY_AT_TWICE_MS = 100;
const MAX_DELAY_MS = 1_000;

/** The snapshot on disk that the next merge starts from. */
export interface CurrentSnapshot {
  readonly path: string;
  readonly number: number;
  readonly format: 'lodestore' | 'ancestor';
  readonly fileBytes: number;
}

export interface MergeStats extends MergeFigures {
  /** `stopped`: a merge met damage; nothing is merged until the store has been repaired. */
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
  /** Closed with the scheduler. */
  readonly runner: MergeRunner;
  readonly mergeBytes: number;
  readonly logLimitBytes: number | undefined;
  readonly observer: StoreObserver;
  readonly onMerged: (merged: {
    readonly snapshotBytes: number;
    readonly durationMs: number;
  }) => void;
  readonly onFailed: (error: Error) => void;
}

type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'running'; readonly done: Promise<Error | undefined> }
  | { readonly kind: 'retrying'; readonly timer: NodeJS.Timeout }
  | { readonly kind: 'stopped' };

/** Decides when a merge is due, runs one at a time, and puts its snapshot in the place of what it merged. */
export class MergeScheduler {
  readonly #parts: MergeSchedulerParts;
  readonly #due: MergeDue;
  readonly #abort: AbortController = new AbortController();
  #snapshot: CurrentSnapshot | undefined;
  #state: State = { kind: 'idle' };
  readonly #counters: MergeCounters = new MergeCounters();
  #nextReliefMs = 0;

  constructor(parts: MergeSchedulerParts, snapshot: CurrentSnapshot | undefined) {
    this.#parts = parts;
    this.#due = new MergeDue(parts);
    this.#snapshot = snapshot;
  }

  /** The newest snapshot; `logs` hold what is not in it. */
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

  /** Starts a merge if one is due and none runs. */
  consider(): void {
    if (
      this.#state.kind !== 'idle' ||
      this.#abort.signal.aborted ||
      !this.#due.isDue(this.#snapshotBytes)
    )
      return;
    void this.#start();
  }

  /** Writes are refused for lack of space: merges what there is, however little, but not again and again. */
  relieve(): void {
    const nowMs = monotonicMs();
    const { logs } = this.#parts;
    if (this.#state.kind !== 'idle' || this.#abort.signal.aborted) return;
    if (logs.totalBytes === 0 || nowMs < this.#nextReliefMs) return;
    this.#nextReliefMs = nowMs + RETRY_MS;
    void this.#start();
  }

  /** Merges all that is durable when it is called. Rejects with the reason if that fails. */
  async mergeNow(): Promise<void> {
    while (this.#state.kind === 'running') await this.#state.done;
    if (this.#parts.health.isPoisoned) throw this.#parts.health.poisonedWrite('not-applied');
    if (this.#abort.signal.aborted) throw new StoreClosedError('the store was closed');
    if (this.#state.kind === 'stopped') throw this.#counters.lastError!;
    const error = await this.#start();
    if (error !== undefined) throw error;
  }

  /** Gives up a merge that runs; its temporary file is removed. */
  async close(): Promise<void> {
    this.#abort.abort();
    if (this.#state.kind === 'retrying') clearTimeout(this.#state.timer);
    if (this.#state.kind === 'running') await this.#state.done;
    await this.#parts.runner.close();
  }

  get #snapshotBytes(): number {
    return this.#snapshot?.fileBytes ?? 0;
  }

  /**
   * What stands against a write while merges do not keep up: past the limit writes are slowed down, past
   * twice the limit they are rejected. Dead rows may gather faster than the fastest merge frees them: while
   * one runs, writes only wait for it.
   */
  async admit(): Promise<StoreError | undefined> {
    const backlog = this.#due.backlog(this.#snapshotBytes);
    if (backlog === undefined) return undefined;
    const { excess, cause } = backlog;
    const isHelpComing = cause === 'memory' && this.#state.kind === 'running';
    if (excess > 1 && !isHelpComing) return this.#refuse(backlog);
    const delayMs = Math.min(Math.ceil(DELAY_AT_TWICE_MS * excess), MAX_DELAY_MS);
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    return undefined;
  }

  #refuse({ cause, limitBytes }: Backlog): StoreError {
    const what = {
      logs: `the logs have reached their limit of ${2 * limitBytes} bytes`,
      memory: `replaced rows have reached their limit of ${2 * limitBytes} bytes of memory`,
      full: `updates take ${limitBytes} bytes of memory, and more cannot be addressed,`,
    }[cause];
    return new StoreFullError(`${what} because merges do not complete`, {
      cause: this.#counters.lastError,
      outcome: 'not-applied',
      path: this.#parts.directory,
    });
  }

  /** True when `admit` would wait or refuse: asked first, since it costs nothing. */
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

  /** Runs one merge to its end. Never rejects: a failure is kept, reported, tried again, and returned. */
  async #run(): Promise<Error | undefined> {
    // So that the state says `running` before anything can end it.
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
      const timer = setTimeout(() => this.#parts.health.guard(retry), RETRY_MS);
      timer.unref();
      this.#state = { kind: 'retrying', timer };
    }
    this.#parts.onFailed(error);
    return error;
  }

  async #merge(): Promise<void> {
    const { logs, table, committer } = this.#parts;
    await this.#checkSpace();
    let merged: readonly MergeLog[] = [];
    let last = logs.lastClosed;
    // Exactly between two groups: what is frozen is what the closed logs hold.
    await committer.rotate(() => {
      merged = [...logs.closedLogs];
      last = logs.lastClosed;
      if (merged.length > 0) table.freeze();
    });
    if (merged.length === 0) return;
    assert(merged.at(-1)!.number === last.number, 'a merge takes in all closed logs');
    const temporaryPath = join(this.#parts.directory, temporarySnapshotName(last.number));
    const { storeId, epoch } = this.#parts;
    const job: MergeJob = {
      kind: 'merge',
      snapshot: this.#snapshot,
      logs: merged,
      storeId,
      epoch,
      last,
      number: last.number,
      temporaryPath,
    };
    await this.#mergeObserved(job);
  }

  async #mergeObserved(job: MergeJob): Promise<void> {
    const logBytes = job.logs.reduce((sum, log) => sum + log.lengthBytes, 0);
    const oldSnapshotBytes = this.#snapshot?.fileBytes ?? 0;
    this.#counters.begin(logBytes + oldSnapshotBytes);
    const details = { logs: job.logs.length, logBytes, oldSnapshotBytes };
    try {
      await this.#parts.observer.merge(details, async () => {
        const result = await this.#runJob(job);
        if (result.kind === 'corrupt') {
          throw new CorruptionError(damageDetail(this.#parts.directory, result));
        }
        return this.#install(job, result);
      });
    } finally {
      this.#counters.end();
    }
  }

  async #checkSpace(): Promise<void> {
    const { fs, directory, logs } = this.#parts;
    const neededBytes = (this.#snapshot?.fileBytes ?? 0) + logs.totalBytes + SPACE_SLACK_BYTES;
    const freeBytes = await fs.freeBytes(directory).catch((error: unknown) => {
      throw mergeError(error, `the space left in ${directory} is not known`, directory);
    });
    if (freeBytes >= neededBytes) return;
    if (await this.#parts.space.lendToMerge(neededBytes - freeBytes)) return;
    throw new StoreFullError(
      `a merge may need ${neededBytes} bytes in ${directory}, and ${freeBytes} are free`,
      { path: directory },
    );
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

  /** Gives the new snapshot its name, makes that durable, and only then lets go of what it replaces. */
  async #install(
    job: MergeJob,
    result: Extract<MergeResult, { kind: 'merged' }>,
  ): Promise<{ readonly snapshotBytes: number; readonly durationMs: number }> {
    const { fs, directory, table, logs, retained } = this.#parts;
    const path = join(directory, snapshotName(job.number));
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
    const durationMs = this.#counters.complete(result);
    const obsolete = retained.retire(logs.forgetUpTo(job.number));
    if (replaced !== undefined) obsolete.push(replaced.path);
    for (const name of obsolete) {
      assert(name !== path, 'a merge never removes a name that it has just produced');
      await this.#requireHeld();
      // What cannot be removed now is proven dead and goes at the next open.
      await fs.unlink(name).catch(() => undefined);
    }
    const merged = { snapshotBytes: result.written.fileBytes, durationMs };
    this.#parts.onMerged(merged);
    return merged;
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
    const message = `giving the new snapshot ${path} its name failed; what the directory holds is unknown`;
    const error = new StorePoisonedError(message, { cause, path });
    this.#parts.health.poisonWith(error);
    return error;
  }
}

/** What is no system error has failed in a thread, or in the code: it is the `cause` all the same. */
function mergeError(error: unknown, what: string, path: string): unknown {
  const mapped = storeErrorOf(error, { what, path, code: 'LODESTORE_MERGE_FAILED' });
  if (mapped !== error || error instanceof DirectoryLostError) return mapped;
  return new StoreError('LODESTORE_MERGE_FAILED', what, { cause: error, path });
}
