import { clearTimeout, monotonicMs, setTimeout } from '../../base/timers.ts';
import {
  CorruptionError,
  StoreBusyError,
  StoreClosedError,
  StoreError,
  StoreFullError,
} from '../../base/errors.ts';
import type { Health } from '../commit/health.ts';
import type { MergeFigures } from '../observe/merge-figures.ts';
import type { StoreObserver } from '../observe/store-observer.ts';
import type { SpaceKeeper } from '../space/space-keeper.ts';
import type { MergeDue } from './merge-due.ts';
import { MergeFullError } from './merge-room.ts';
import type { Merger } from './merger.ts';

/** A merge that failed for lack of space or a transient error is retried after this time. */
const RETRY_MS = 5_000;

export interface MergeStats extends MergeFigures {
  /** `stopped`: a merge found damage. Nothing is merged until the store has been repaired. */
  readonly state: 'idle' | 'running' | 'retrying' | 'stopped';
  readonly snapshotBytes: number;
}

export interface MergeSchedulerParts {
  readonly due: MergeDue;
  /** Closed together with the scheduler. */
  readonly merger: Merger;
  readonly space: SpaceKeeper;
  readonly health: Health;
  readonly observer: StoreObserver;
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
 * The next open starts from the newest snapshot, reads no log up to its number (after a check that
 * the file is what its name says, `findFalseLeftovers`), syncs the directory, then removes them
 * (`repair`). A failed rename or sync makes the directory's state unknown and poisons. Others
 * change nothing.
 *
 * Concurrent: commits (into the new live delta and log), reads, backups (with descriptors of what 4
 * removes) and change feeds (`RetainedLogs` keeps merged logs for them); never a second merge.
 */
export class MergeScheduler {
  readonly #parts: MergeSchedulerParts;
  readonly #abort: AbortController = new AbortController();
  #state: State = { kind: 'idle' };
  #nextReliefMs = 0;

  constructor(parts: MergeSchedulerParts) {
    this.#parts = parts;
  }

  get stats(): MergeStats {
    const { counters, snapshotBytes } = this.#parts.merger;
    return { state: this.#state.kind, snapshotBytes, ...counters.copy() };
  }

  /** Starts a merge if one is due, none is running, and the store is not poisoned. */
  consider(): void {
    if (this.#mayStart && this.#parts.due.isDue) void this.#start();
  }

  get #mayStart(): boolean {
    const isIdle = this.#state.kind === 'idle' && !this.#abort.signal.aborted;
    return isIdle && !this.#parts.health.isPoisoned;
  }

  /** Starts a merge because writes are refused for lack of space. Rate-limited. */
  relieve(): void {
    const nowMs = monotonicMs();
    if (!this.#mayStart) return;
    if (this.#parts.merger.isAllMerged || nowMs < this.#nextReliefMs) return;
    this.#nextReliefMs = nowMs + RETRY_MS;
    void this.#start();
  }

  /** Merges everything written before the call. Rejects with the reason if that fails. */
  async mergeNow(): Promise<void> {
    const { merger, health } = this.#parts;
    let wantedSequence: bigint | undefined;
    do {
      while (this.#state.kind === 'running') await this.#state.done;
      wantedSequence ??= merger.lastSequence;
      if (health.isPoisoned) throw health.poisonedWrite('not-applied');
      if (this.#abort.signal.aborted) throw new StoreClosedError('the store was closed');
      if (this.#state.kind === 'stopped') throw merger.counters.lastError!;
      const error = await this.#start();
      if (error !== undefined) throw error;
      // A retry may have merged only the input of a failed merge.
    } while (!merger.hasMerged(wantedSequence));
  }

  /** Aborts a running merge; its temporary file is removed. */
  async close(): Promise<void> {
    this.#abort.abort();
    if (this.#state.kind === 'retrying') clearTimeout(this.#state.timer);
    if (this.#state.kind === 'running') await this.#state.done;
    await this.#parts.merger.close();
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
    const { due, merger } = this.#parts;
    return due.verdict({
      isMerging: this.#state.kind === 'running',
      lastError: merger.counters.lastError,
    });
  }

  /** Whether `admit` may wait or refuse. A cheap check, which is made first. */
  get isBacklogged(): boolean {
    return this.#parts.due.mayHaveBacklog;
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
    this.consider();
    return failure;
  }

  #fail(error: Error): Error {
    this.#state = { kind: 'idle' };
    if (this.#abort.signal.aborted) {
      const isOwn = error instanceof StoreError;
      return isOwn ? error : new StoreClosedError('the store was closed during the merge');
    }
    this.#parts.merger.counters.fail(error);
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
    this.#parts.observer.mergeFailed(error);
    return error;
  }

  /** Merges. For lack of space, releases the reserve if that may be enough, and tries again. */
  async #merge(): Promise<void> {
    for (;;) {
      try {
        return await this.#parts.merger.run(this.#abort.signal);
      } catch (error) {
        if (!(error instanceof StoreFullError) || this.#abort.signal.aborted) throw error;
        const missingBytes = error instanceof MergeFullError ? error.missingBytes : 0;
        if (!(await this.#parts.space.lendToMerge(missingBytes))) throw error;
      }
    }
  }
}
