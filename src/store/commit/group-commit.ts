import { isFileTooLong, StoreError, StoreFullError } from '../../base/errors.ts';
import type { Flow } from '../../base/flow.ts';
import type { Group } from '../../log/group-encoder.ts';
import type { LogWriter } from '../../log/log-writer.ts';
import type { QueuedBatch } from '../batch/batch-queue.ts';
import type { BatchDurability } from '../batch/durability.ts';
import type { SpaceKeeper } from '../space/space-keeper.ts';
import type { BatchJudge } from './batch-judge.ts';
import type { ArrivedGroup } from './commit-gate.ts';
import type { GroupWriter } from './group-writer.ts';
import type { LogRotation } from './log-rotation.ts';
import type { Publisher } from './publisher.ts';

export interface GroupCommitParts {
  readonly judge: BatchJudge;
  readonly publisher: Publisher;
  readonly writer: GroupWriter;
  readonly rotation: LogRotation;
  readonly space: SpaceKeeper;
  readonly onCommitted: () => void;
}

/**
 * Steps 2 to 6 of a group (see `Committer`). Each method is a flow: it waits for non-blocking file
 * calls, and never waits over blocking ones.
 */
export class GroupCommit {
  readonly #parts: GroupCommitParts;

  constructor(parts: GroupCommitParts) {
    this.#parts = parts;
  }

  get rotation(): LogRotation {
    return this.#parts.rotation;
  }

  /**
   * Why a group cannot be written without waiting, or undefined. In inline mode the preparation of
   * a log waits only for the lease.
   */
  get busyCause(): 'pause' | 'space' | undefined {
    if (this.rotation.isPreparing) return 'pause';
    return this.#parts.space.waitsForReserve ? 'space' : undefined;
  }

  /** Called when `busyCause` is `space`: a later call may find the reserve. */
  seekSpace(): void {
    this.#parts.space.seekReserve();
  }

  /**
   * Commits a group. If the log would exceed a limit on the file size, the next log is tried. On a
   * full disk, batches that only delete are retried in the space of the reserve, if there is one.
   */
  *commitInRoom(batches: readonly QueuedBatch[], mayWait: boolean): Flow<StoreError | undefined> {
    const error = yield* this.#commit(batches);
    if (!(error instanceof StoreFullError)) return error;
    if (isFileTooLong(error.cause) && (yield* this.rotation.endFullLog())) {
      return yield* this.#commit(batches);
    }
    const refusal = yield* this.#parts.space.makeRoom(batches, error, mayWait);
    return refusal ?? (yield* this.#commit(batches));
  }

  /**
   * Writes a group and makes it visible, and durable if one of its batches requires it. Returns the
   * error that its batches are rejected with.
   */
  *#commit(batches: readonly QueuedBatch[]): Flow<StoreError | undefined> {
    const { judge, writer } = this.#parts;
    const refused = judge.refusal(batches);
    if (refused !== undefined) return refused;
    const isJudged = judge.isNeeded;
    if (isJudged) yield* judge.judge(batches);
    const written = batches.filter(
      ({ packed, refusal }) => packed!.recordCount > 0 && refusal === undefined,
    );
    const durability = batches.some((batch) => batch.durability === 'sync') ? 'sync' : 'deferred';
    const first = written[0]?.packed;
    if (first === undefined) return yield* writer.writeNothing(durability, isJudged);
    const { rows, hasIntervals, recordCount } = first;
    // A batch with intervals is a group alone.
    const alone = { decoded: rows, batchCount: 1, recordCount, hasIntervals };
    const begin = (): Group => this.#parts.publisher.begin(written);
    return yield* this.#publish(hasIntervals ? alone : undefined, begin, durability);
  }

  /**
   * Writes a group that was read from a shared log, without a sync, and shows it. Returns the error
   * if that failed.
   */
  *apply(arrived: ArrivedGroup): Flow<StoreError | undefined> {
    const { decoded, batchCount, recordCount, stored, hasIntervals } = arrived;
    const alone = { decoded, batchCount, recordCount, stored, hasIntervals };
    const begin = (): Group => this.#parts.publisher.beginArrived(arrived);
    return yield* this.#publish(hasIntervals ? alone : undefined, begin, 'deferred');
  }

  /** `withIntervals`: the group, if it deletes intervals. `begin` copies the rows of any other. */
  *#publish(
    withIntervals: Group | undefined,
    begin: () => Group,
    durability: BatchDurability,
  ): Flow<StoreError | undefined> {
    const { rotation, writer, publisher } = this.#parts;
    const log = yield* rotation.writable(withIntervals !== undefined);
    if (log instanceof StoreError) return log;
    const { refusal } = writer;
    if (refusal !== undefined) return refusal;
    if (withIntervals === undefined) return yield* this.#write(log, begin(), durability);
    const noRoom = yield* publisher.beginExpanded(withIntervals);
    return noRoom ?? (yield* this.#write(log, withIntervals, durability));
  }

  /** Writes the group, then shows it or takes it back. */
  *#write(log: LogWriter, group: Group, durability: BatchDurability): Flow<StoreError | undefined> {
    const { publisher, writer, rotation } = this.#parts;
    const error = yield* writer.write(log, { group, seal: rotation.isDue(log) }, durability);
    if (error === undefined) publisher.show(group);
    else yield* publisher.takeBack();
    return error;
  }

  /** See `GroupWriter.syncFenced`. */
  syncFenced(): Flow<StoreError | undefined> {
    return this.#parts.writer.syncFenced();
  }

  /** Runs after the group was acknowledged: failures from here on concern the next group. */
  *afterCommit(): Flow<void> {
    yield* this.rotation.afterGroup();
    this.#parts.onCommitted();
  }
}
