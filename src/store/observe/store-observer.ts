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

/** What went wrong last, whatever became of it since. */
export interface LastError {
  readonly source: 'commit' | 'merge' | 'backup';
  readonly error: Error;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/** A batch as far as it is counted. */
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

/** Counts what a store that writes does, and tells listeners and tracing channels of it. */
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
   * Commits a group, on the channel if anybody listens. Returns the error that its batches are
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

  /**
   * Fills `context`, and throws what the group is rejected with, so that the channel tells it as an
   * error.
   */
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

  /** The batches of a group have been settled. */
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

  /** Replaces a log that has been sealed by the next one. */
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
   * Merges on its channel. `run` resolves with the bytes of the new snapshot and how long that
   * took.
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
      if (context !== undefined) Object.assign(context, done);
    });
  }

  /** Writes a backup on its channel. */
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
