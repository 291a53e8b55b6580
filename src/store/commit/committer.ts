import { nextTick, setImmediate } from '../../base/timers.ts';
import { assert } from '../../base/assert.ts';
import { StoreBusyError, type StoreError } from '../../base/errors.ts';
import { begin, finishAtOnce, waited, type Awaitable, type Flow } from '../../base/flow.ts';
import type { DirectoryLock } from '../../directory/held-lock.ts';
import type { QueuedBatch } from '../batch/batch-queue.ts';
import type { Inserted } from '../batch/insert-options.ts';
import type { BatchDurability } from '../batch/durability.ts';
import type { WriteBatch } from '../batch/write-batch.ts';
import { GroupCommit, type GroupCommitParts } from './group-commit.ts';
import type { WhenHeld } from './write-failure.ts';

/**
 * `background`: files are written by calls that leave the event loop to others. `inline`: by calls
 * that block.
 */
export type CommitMode = 'background' | 'inline';

export interface CommitterParts extends GroupCommitParts {
  readonly mode: CommitMode;
  readonly lock: DirectoryLock;
  /** Asked before each group: what stands against it, once it has waited as long as it must. */
  readonly admit: () => Awaitable<StoreError | undefined>;
  /** As `admit`, for whoever cannot wait: where that would, a `StoreBusyError`. */
  readonly admitNow: () => StoreError | undefined;
}

/** The fence of a store that commits in this mode. */
export function fenceOf(lock: DirectoryLock, mode: CommitMode): WhenHeld {
  if (mode === 'background') return () => lock.whenHeld();
  return () => {
    if (lock.isInDoubt) return lock.whenHeld();
    lock.holdNow();
    return undefined;
  };
}

/**
 * Group commit. One group is written at a time; what queues up meanwhile becomes the next. Whatever
 * changes the live log goes through this loop, or through `commitNow` while the loop rests, so a
 * group, a seal, a sync and a rotation never meet.
 *
 * States of the loop: `idle`; `scheduled`: a turn is due; `running`: a turn is under way. A turn
 * syncs if the timer of deferred batches rang, writes one group, and rotates if that was asked for.
 * Steps of a group:
 *
 *  1. `take` batches that are ready; wait, or refuse them, where merges do not keep up.
 *  2. Judge room and conditions. Nothing is in flight, so the table is all that was handed in
 *     before.
 *  3. Copy the rows into the live delta, hidden, and encode them as one frame.
 *  4. If the group is to be durable: sync what stands before it, or a crash could keep the group
 *     and lose that.
 *  5. Write. A durable write is one O_DSYNC call; the log's name and zeros became durable when it
 *     was prepared. The rows are indexed beside it, still hidden.
 *  6. Check that the lease is ours and that the log has kept its name. Show the rows; settle the
 *     promises.
 *
 * Beside a turn run: the preparation of the next log (`LogKeeper`), zeros reserved ahead in the
 * live one (`LogWriter`; a write past them waits), merges, which take closed logs only, and reads.
 *
 * Inline (`commits: 'inline'`) the steps are the same, on file calls that block: a turn, and with
 * it a group, is over when it returns. Nothing is beside it: zeros and the next log are made
 * between two groups, by the same calls, and the fence of 6 proves what a pause has left in doubt
 * before it lets the group through. `commitNow` so is one turn for one batch, called by
 * `insertBatchSync`. It refuses (`StoreBusyError`) wherever a turn would wait, before anything is
 * written. It refreshes the lease, and syncs deferred groups whose time is up: a loop of such calls
 * starves the timers.
 *
 * What a crash leaves: in 1 to 4 nothing; in 5 the group whole, or a torn end that recovery cuts
 * off, since nothing later was written; after 6 the group, whole. A seal or a next log is written
 * only when all before it is durable.
 *
 * What a failure leaves: a call that has changed nothing (no descriptor, no room once the log is
 * cut back) rejects the group `not-applied`, and the loop goes on. One whose effect is unknown
 * poisons the store: the group is `unknown`, all behind it `not-applied`. So does a bug, wherever
 * it is thrown (`#breakOff`).
 */
export class Committer {
  readonly #parts: CommitterParts;
  readonly #group: GroupCommit;
  #state: 'idle' | 'scheduled' | 'running' = 'idle';
  #idleWaiters: (() => void)[] = [];

  constructor(parts: CommitterParts) {
    this.#parts = parts;
    this.#group = new GroupCommit(parts);
  }

  /** Looks at the queue soon. Called whenever something became ready. */
  wake(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'scheduled';
    const run = (): void => void this.#run().catch((bug: unknown) => this.#breakOff(bug));
    // After all that runs now: writers that were acknowledged together hand in their next batches
    // together. A turn that blocks leaves one of the event loop to the others: else writers that
    // answer at once would keep it for themselves.
    if (this.#parts.mode === 'inline') setImmediate(run);
    else nextTick(run);
  }

  /**
   * Closes the live log, with the next group if there is one, and resolves when its successor is in
   * place; at once when the live log holds nothing. `atBoundary` is called before any later group
   * begins.
   */
  rotate(atBoundary: () => void): Promise<void> {
    const rotated = this.#group.rotations.add(atBoundary);
    this.wake();
    return rotated;
  }

  /**
   * Commits a batch before it returns. Throws what an `insertBatch` would reject with, and
   * `StoreBusyError` where that would wait.
   */
  commitNow(source: WriteBatch, durability: BatchDurability): Inserted {
    const refusal = this.#refusalNow(source);
    if (refusal !== undefined) throw refusal;
    const { queue } = this.#parts;
    let failure: { readonly error: unknown } | undefined;
    const batch = queue.enter(source, durability, (error) => {
      failure = { error };
    });
    const before = this.#state;
    this.#state = 'running';
    try {
      finishAtOnce(this.#commitAlone(batch));
      if (before === 'idle') this.#rest();
      else this.#state = before;
    } catch (bug) {
      this.#breakOff(bug);
    }
    if (failure !== undefined) throw failure.error;
    return { sequence: batch.sequence };
  }

  *#commitAlone(batch: QueuedBatch): Flow<void> {
    if (this.#parts.sync.isOverdue) yield* this.#syncDue();
    yield* this.#commitTaken([batch], false);
  }

  /** Why a batch cannot be committed without waiting for something. */
  #refusalNow(source: WriteBatch): StoreError | undefined {
    const { queue, lock, logs, health, space } = this.#parts;
    assert(this.#parts.mode === 'inline', 'calls that block are those of inline commits');
    if (this.#state === 'running' || !queue.isEmpty) return new StoreBusyError('queue');
    lock.refreshNow();
    if (health.isPoisoned) return health.poisonedWrite('not-applied');
    if (lock.isInDoubt || logs.isPreparing) return new StoreBusyError('pause');
    if (space.waitsForReserve) return new StoreBusyError('space');
    return source.byteLength > 0 ? this.#parts.admitNow() : undefined;
  }

  /** Resolves when nothing is being written, nothing is ready, and no sync is due. */
  async whenIdle(): Promise<void> {
    if (this.#state === 'idle') return;
    await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  get #isWanted(): boolean {
    const { queue, sync } = this.#parts;
    return queue.hasReady || this.#group.rotations.areWanted || sync.isDue;
  }

  async #run(): Promise<void> {
    this.#state = 'running';
    await begin(this.#turn());
  }

  *#turn(): Flow<void> {
    const { queue, sync } = this.#parts;
    const { rotations } = this.#group;
    if (sync.isDue) yield* this.#syncDue();
    if (queue.hasReady) yield* this.#commitNext();
    if (rotations.areWanted && !queue.hasReady) yield* this.#group.rotateIdle();
    this.#rest();
  }

  /** The turn is over: whoever was acknowledged in it may call `commitNow` at once. */
  #rest(): void {
    this.#state = 'idle';
    if (this.#isWanted) this.wake();
    else for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  /**
   * Something failed that cannot fail. Whoever waits is told: a loop that dies in silence would
   * hang them.
   */
  #breakOff(bug: unknown): void {
    const { queue, health, observer } = this.#parts;
    observer.failed('commit', health.broken(bug));
    queue.rejectInFlight(() => health.poisonedWrite('unknown'));
    queue.rejectQueued(() => health.poisonedWrite('not-applied'));
    this.#group.rotations.reject(health.poisonedWrite('not-applied'));
    this.#state = 'idle';
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  *#syncDue(): Flow<void> {
    const { queue, health } = this.#parts;
    const error = yield* this.#group.syncFenced();
    if (error !== undefined) queue.rejectQueued(() => health.poisonedWrite('not-applied'));
  }

  *#commitNext(): Flow<void> {
    const { queue, health } = this.#parts;
    const admission = health.isPoisoned ? undefined : yield* waited(this.#parts.admit());
    const batches = queue.take();
    if (batches.length === 0) return;
    const needsRoom = batches.some(({ lengthBytes }) => lengthBytes > 0);
    if (needsRoom && admission !== undefined && !health.isPoisoned) {
      queue.settle(batches, admission);
      return;
    }
    yield* this.#commitTaken(batches, true);
  }

  /** `mayWait`: for room that has to be made on a full disk. */
  *#commitTaken(batches: readonly QueuedBatch[], mayWait: boolean): Flow<void> {
    const { queue, health, observer } = this.#parts;
    if (health.isPoisoned) {
      queue.settle(batches, health.poisonedWrite('not-applied'));
      return;
    }
    const { lastSequence } = this.#parts.logs;
    const error = yield* observer.commit(batches, () => this.#group.commitInRoom(batches, mayWait));
    if (error === undefined) numberBatches(batches, lastSequence);
    // A batch that was left out is not in the log, whatever became of its group.
    const isUnknown = error?.outcome === 'unknown';
    observer.settled(batches, error);
    queue.settle(batches, error, isUnknown ? health.poisonedWrite('not-applied') : error);
    if (health.isPoisoned) queue.rejectQueued(() => health.poisonedWrite('not-applied'));
    else if (error === undefined) yield* this.#group.afterCommit();
  }

  /**
   * Seals the live log at the end of the store's life, so that the next open knows it whole.
   * Without room for the seal the log simply ends after its last group.
   */
  async sealForClose(): Promise<void> {
    const { logs, health } = this.#parts;
    assert(this.#state === 'idle', 'the last group has been written');
    const log = logs.live;
    if (log === undefined || log.lengthBytes === 0 || health.isPoisoned) return;
    await begin(this.#group.write(log, undefined));
  }

  /** @throws StorePoisonedError when batches that were acknowledged without a sync may be lost */
  requireSynced(): void {
    const { logs, health } = this.#parts;
    if (logs.unsyncedBytes > 0) throw health.poisonedWrite('unknown');
  }
}

/**
 * Gives each batch that was written the next number; one that wrote nothing has that of the one
 * before it.
 */
function numberBatches(batches: readonly QueuedBatch[], lastSequence: bigint): void {
  let sequence = lastSequence;
  for (const batch of batches) {
    if (batch.refusal === undefined && batch.packed!.recordCount > 0) sequence++;
    batch.sequence = sequence;
  }
}
