import { StoreFullError } from '../../base/errors.ts';
import type { Directory } from '../../fs/directory.ts';
import type { MergeJob } from '../../jobs/merge.ts';
import type { LogIdentity } from '../../log/log-writer.ts';
import { MergeCounters } from '../observe/merge-figures.ts';
import type { StoreObserver } from '../observe/store-observer.ts';
import type { MergeExecutor } from './merge-executor.ts';
import type { MergeIntake } from './merge-intake.ts';
import { MergeRoom } from './merge-room.ts';
import type { Merged, SnapshotKeeper } from './snapshot-keeper.ts';

export interface MergerParts {
  readonly directory: Directory;
  readonly identity: LogIdentity;
  readonly intake: MergeIntake;
  readonly executor: MergeExecutor;
  readonly snapshots: SnapshotKeeper;
  readonly observer: StoreObserver;
}

/** One merge from its intake to the removal of what it replaced. See `MergeScheduler`. */
export class Merger {
  readonly counters: MergeCounters = new MergeCounters();
  readonly #parts: MergerParts;
  /** Sequence number of the last merged batch since the store was opened. */
  #mergedSequence = 0n;

  constructor(parts: MergerParts) {
    this.#parts = parts;
  }

  get snapshotBytes(): number {
    return this.#parts.snapshots.fileBytes;
  }

  /** Whether no log has anything to merge. */
  get isAllMerged(): boolean {
    return this.#parts.intake.unmergedBytes === 0;
  }

  /** Sequence number of the last batch that a merge begun now may take. */
  get lastSequence(): bigint {
    return this.#parts.intake.lastSequence;
  }

  /** Whether everything up to `sequence` has been merged. */
  hasMerged(sequence: bigint): boolean {
    return this.isAllMerged || this.#mergedSequence >= sequence;
  }

  /** Runs one merge. If it fails, its input is left for the next one. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#merge(signal);
    } catch (error) {
      this.#parts.intake.leave({ lackedSpace: error instanceof StoreFullError });
      throw error;
    }
  }

  /** No merge may be running. */
  async close(): Promise<void> {
    await this.#parts.executor.close();
  }

  async #merge(signal: AbortSignal): Promise<void> {
    const { directory, identity, intake, snapshots } = this.#parts;
    const { realPath } = directory;
    const oldBytes = snapshots.fileBytes + intake.unmergedBytes;
    const room = await MergeRoom.measure(directory, realPath, oldBytes);
    room.require(intake.neededBytes ?? 0);
    const taken = await intake.take();
    if (taken === undefined) return;
    const { last, logs } = taken;
    const { storeId, epoch } = identity;
    const temporaryPath = snapshots.temporaryPath(last.number);
    const target = { storeId, epoch, last, number: last.number, temporaryPath };
    const source = { snapshot: snapshots.current, logs };
    const job: MergeJob = { kind: 'merge', ...source, ...target, limitBytes: room.limitBytes };
    await this.#execute(job, room, signal);
  }

  async #execute(job: MergeJob, room: MergeRoom, signal: AbortSignal): Promise<void> {
    const { observer, executor, intake } = this.#parts;
    const logBytes = job.logs.reduce((sum, log) => sum + log.lengthBytes, 0);
    const oldSnapshotBytes = this.snapshotBytes;
    this.counters.begin(logBytes + oldSnapshotBytes);
    const onProgress = (bytesRead: number): void => {
      this.counters.progressBytes = bytesRead;
    };
    try {
      await observer.merge({ logs: job.logs.length, logBytes, oldSnapshotBytes }, async () => {
        const result = await executor.execute(job, { signal, onProgress });
        if (result.kind === 'merged') return this.#install(job, result);
        const refusal = room.refusal(result.neededBytes);
        const { neededBytes } = refusal;
        intake.leave({ lackedSpace: true, neededBytes, run: result.run });
        throw refusal;
      });
    } finally {
      this.counters.end();
    }
  }

  async #install(
    job: MergeJob,
    result: Merged,
  ): Promise<{ readonly snapshotBytes: number; readonly durationMs: number }> {
    const { snapshots, intake } = this.#parts;
    const replaced = await snapshots.install(job, result);
    intake.complete();
    this.#mergedSequence = job.last.lastSequence;
    const durationMs = this.counters.complete(result);
    await snapshots.removeMerged(replaced);
    return { snapshotBytes: result.written.fileBytes, durationMs };
  }
}
