import { monotonicMs, wallMs } from '../../base/timers.ts';
import { AbortedError, StoreError } from '../../base/errors.ts';
import { begin, waited, type Flow } from '../../base/flow.ts';
import {
  backupChannel,
  commitChannel,
  isTraced,
  mergeChannel,
  rotateChannel,
  traced,
  tracedEither,
  type CommitTrace,
  type MergeTrace,
} from './channels.ts';
import { CommitStats } from './commit-stats.ts';
import { SlowSyncAlarm, type SlowSyncAlarmParts } from './slow-sync-alarm.ts';

export interface ObserverParts extends SlowSyncAlarmParts {
  readonly store: object;
  readonly slowSyncMs: number;
}

/** The last error, even if the store has recovered since. */
export interface LastError {
  readonly source: 'commit' | 'merge' | 'backup';
  readonly error: Error;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/** The counted properties of a batch. */
interface CountedBatch {
  readonly queuedAtMs: number;
  readonly refusal: StoreError | undefined;
}

/** A log that was sealed. */
interface SealedLog {
  readonly number: number;
  readonly path: string;
  readonly lengthBytes: number;
}

type Commit = () => Flow<StoreError | undefined>;

/**
 * Counts the operations of a writable store, and reports them to listeners and tracing channels.
 */
export class StoreObserver {
  readonly commits: CommitStats;
  rotations = 0;
  lastError: LastError | undefined;
  readonly #parts: ObserverParts;

  constructor(parts: ObserverParts) {
    this.#parts = parts;
    const alarm = new SlowSyncAlarm(parts);
    this.commits = new CommitStats(parts.slowSyncMs, (syncMs) => alarm.ring(syncMs));
  }

  get #origin(): { readonly store: object; readonly directory: string } {
    return { store: this.#parts.store, directory: this.#parts.directory };
  }

  /**
   * Commits a group, on the channel if it has subscribers. Returns the error that its batches are
   * rejected with.
   */
  commit(batches: readonly CountedBatch[], run: Commit): Flow<StoreError | undefined> {
    return isTraced(commitChannel) ? this.#commitTraced(batches, run) : run();
  }

  *#commitTraced(batches: readonly CountedBatch[], run: Commit): Flow<StoreError | undefined> {
    const context: CommitTrace = {
      ...this.#origin,
      batches: batches.length,
      updates: 0,
      bytes: 0,
      encodeMs: 0,
      writeMs: 0,
      syncMs: 0,
      batchMs: [],
    };
    try {
      const commit = () => begin(this.#commitInto(context, batches, run));
      yield* waited(tracedEither(commitChannel, context, commit));
      return undefined;
    } catch (error) {
      if (error instanceof StoreError) return error;
      throw error;
    }
  }

  /** Fills `context`, and throws the group's error so that the channel reports it. */
  *#commitInto(context: CommitTrace, batches: readonly CountedBatch[], run: Commit): Flow<void> {
    const { commits } = this;
    const before = { groups: commits.groups, updates: commits.updates };
    const error = yield* run();
    if (commits.groups > before.groups) Object.assign(context, commits.lastWrite);
    context.updates = commits.updates - before.updates;
    const nowMs = monotonicMs();
    context.batchMs = batches
      .filter(({ refusal }) => refusal === undefined)
      .map(({ queuedAtMs }) => nowMs - queuedAtMs);
    if (error !== undefined) throw error;
  }

  /** Counts the settled batches of a group. */
  settled(batches: readonly CountedBatch[], error: StoreError | undefined): void {
    if (error !== undefined) {
      this.commits.failedGroups++;
      this.failed('commit', error);
      return;
    }
    const nowMs = monotonicMs();
    for (const { queuedAtMs, refusal } of batches) {
      if (refusal === undefined) this.commits.acknowledged(nowMs - queuedAtMs);
      else this.commits.refusedBatches++;
    }
  }

  failed(source: LastError['source'], error: Error): void {
    this.lastError = { source, error, atMs: wallMs() };
  }

  /** Replaces a sealed log by the next one. */
  *rotate(sealed: SealedLog, run: () => Flow<void>): Flow<void> {
    const { number, path, lengthBytes: bytes } = sealed;
    const details = { number, path, bytes };
    if (isTraced(rotateChannel)) {
      const context = { ...this.#origin, ...details };
      yield* waited(tracedEither(rotateChannel, context, () => begin(run())));
    } else yield* run();
    this.rotations++;
    this.#parts.announce('rotated', [details]);
  }

  /**
   * Runs a merge on its channel. `run` resolves with the bytes of the new snapshot and the
   * duration.
   */
  async merge(
    details: Pick<MergeTrace, 'logs' | 'logBytes' | 'oldSnapshotBytes'>,
    run: () => Promise<Pick<MergeTrace, 'snapshotBytes' | 'durationMs'>>,
  ): Promise<void> {
    this.#parts.announce('mergeStarted', [details]);
    const makeContext = (): MergeTrace => ({
      ...this.#origin,
      ...details,
      snapshotBytes: 0,
      durationMs: 0,
    });
    await traced(mergeChannel, makeContext, async (context) => {
      const done = await run();
      this.#parts.announce('merged', [done]);
      if (context !== undefined) Object.assign(context, done);
    });
  }

  mergeFailed(error: Error): void {
    this.failed('merge', error);
    this.#parts.announce('mergeFailed', [error]);
  }

  /** Runs a backup on its channel. */
  async backup<Report>(target: string, run: () => Promise<Report>): Promise<Report> {
    try {
      return await traced(backupChannel, () => ({ ...this.#origin, target }), run);
    } catch (error) {
      const isStoppedOrMisused = error instanceof AbortedError || !(error instanceof StoreError);
      if (!isStoppedOrMisused) this.failed('backup', error);
      throw error;
    }
  }
}
