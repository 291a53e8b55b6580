import { nextTick, setImmediate } from '../../base/timers.ts';
import { assert } from '../../base/assert.ts';
import { StoreBusyError, type StoreError } from '../../base/errors.ts';
import { begin, finishAtOnce, waited, type Awaitable, type Flow } from '../../base/flow.ts';
import type { BatchQueue, QueuedBatch } from '../batch/batch-queue.ts';
import { CommittedBatch, type Inserted } from '../batch/insert-options.ts';
import type { BatchDurability } from '../batch/durability.ts';
import type { WriteBatch } from '../batch/write-batch.ts';
import type { StoreObserver } from '../observe/store-observer.ts';
import { Arrivals } from './commit-gate.ts';
import type { Fence } from './fence.ts';
import type { GroupCommit } from './group-commit.ts';
import type { Health } from './health.ts';
import type { LogSync } from './log-sync.ts';
import type { Rotations } from './rotations.ts';

/** Whether writes may go on while merges or the background load are behind. */
export interface Admission {
  /** Called before each group. Waits as long as necessary, then returns a refusal or undefined. */
  readonly admit: () => Awaitable<StoreError | undefined>;
  /** Like `admit`, without waiting: returns a `StoreBusyError` if `admit` would wait. */
  readonly admitNow: () => StoreError | undefined;
}

export interface CommitterParts {
  readonly queue: BatchQueue;
  readonly admission: Admission;
  readonly group: GroupCommit;
  readonly sync: LogSync;
  readonly fence: Fence;
  readonly observer: StoreObserver;
}

/**
 * Group commit. One group is written at a time; batches that are queued meanwhile form the next
 * one. All changes of the live log go through this loop, or through `commitNow` while the loop is
 * idle, so a group, a seal, a sync and a rotation never overlap.
 *
 * States of the loop: `idle`; `scheduled`: a turn is due; `running`: a turn is in progress. A turn
 * syncs if the timer of deferred batches has fired, writes one group, and rotates if requested.
 * Steps of a group:
 *
 * 1. `take` the ready batches. If merges do not keep up, wait, or refuse the batches.
 * 2. Judge space and conditions. Nothing is in flight, so the table has all earlier batches.
 * 3. Copy the rows into the live delta, hidden, and encode them as one frame.
 * 4. If the group must be durable, sync the bytes before it. Otherwise a crash could keep the group
 *    and lose earlier ones.
 * 5. Check that this process holds the lease. Write. A durable write is one O_DSYNC call; the log's
 *    name and zeros became durable when it was prepared. A deferred group is written to the page
 *    cache and synced later by `LogSync`, at the latest after `syncEveryMs`; a group after 32 MiB
 *    without a sync is durable. Meanwhile the rows are indexed, still hidden.
 * 6. Check that this process holds the lease, that the log still has its name, and that nothing has
 *    poisoned the store meanwhile. Make the rows visible, and if they are durable, let change feeds
 *    and followers have them. Settle the promises: a deferred batch is acknowledged here too.
 *
 * A store behind a gate: see `CommitGate`.
 *
 * Concurrent with a turn: the preparation of the next log (`LogKeeper`), the reservation of zeros
 * in the live log (`LogWriter`; a write beyond the reserved space waits for them), merges, which
 * take closed logs only, and reads.
 *
 * Inline commits (`commits: 'inline'`) take the same steps with blocking file calls: a turn, and
 * with it a group, is complete when it returns. Nothing is concurrent: zeros and the next log are
 * written between two groups, by the same calls, and after a pause the fence of step 6 proves
 * ownership before it lets the group through. `commitNow` is one turn for one batch, called by
 * `insertBatchSync`. If a turn would wait, it throws `StoreBusyError` before anything is written.
 * It refreshes the lease and syncs overdue deferred groups, because a loop of such calls starves
 * the timers.
 *
 * After a crash: in steps 1 to 4 nothing of the group remains. In step 5 the whole group remains,
 * or a torn tail that recovery truncates, because nothing was written after it. After step 6 the
 * whole group remains. A seal or a next log is written only when everything before it is durable.
 *
 * After a failure: a call that has changed nothing (no descriptor, or no space after the log was
 * cut back) rejects the group as `not-applied`, and the loop continues. A call with an unknown
 * effect poisons the store: the group is `unknown`, all later batches are `not-applied`. So does a
 * bug, wherever it throws (`#breakOff`).
 *
 * If the fence finds the lease lost: a group that was passed to the system is `unknown`, one that
 * was not is `not-applied`, and so are all queued batches, also those still being packed, when
 * their turn comes. Acknowledged deferred batches may be lost: `sync()` and `close()` reject.
 */
export class Committer {
  readonly #parts: CommitterParts;
  /** Groups of a shared log, which a replica applies. */
  readonly arrivals: Arrivals = new Arrivals(() => this.wake());
  #state: 'idle' | 'scheduled' | 'running' = 'idle';
  /** What the last turn did with the batches that it took. */
  #lastTurn: 'wrote' | 'wrote-nothing' = 'wrote';
  #idleWaiters: (() => void)[] = [];

  constructor(parts: CommitterParts) {
    this.#parts = parts;
  }

  get #health(): Health {
    return this.#parts.fence.health;
  }

  get #rotations(): Rotations {
    return this.#parts.group.rotation.requests;
  }

  /** Schedules a turn. Called whenever something became ready. */
  wake(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'scheduled';
    const run = (): void => void this.#run().catch((bug: unknown) => this.#breakOff(bug));
    // The turn runs after all current work, so writers that were acknowledged together also add
    // their next batches together. A turn that blocks, or follows one without a write, yields to
    // the event loop first. Otherwise writers that respond at once would block all other work.
    const isInline = this.#parts.fence.mode === 'inline';
    if (isInline || this.#lastTurn === 'wrote-nothing') setImmediate(run);
    else nextTick(run);
  }

  /**
   * Closes the live log, together with the next group if there is one. Resolves when its successor
   * is in place, or at once if the live log is empty. `atBoundary` is called before any later group
   * begins.
   */
  rotate(atBoundary: () => void): Promise<void> {
    const rotated = this.#rotations.add(atBoundary);
    this.wake();
    return rotated;
  }

  /**
   * Commits a batch before it returns. Throws what `insertBatch` would reject with, and
   * `StoreBusyError` if `insertBatch` would wait.
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
    return new CommittedBatch(batch.sequence);
  }

  *#commitAlone(batch: QueuedBatch): Flow<void> {
    if (this.#parts.sync.isOverdue) yield* this.#syncDue();
    yield* this.#commitTaken([batch], false);
  }

  /** Why a batch cannot be committed without waiting, or undefined. */
  #refusalNow(source: WriteBatch): StoreError | undefined {
    const { queue, group, fence } = this.#parts;
    const { lock } = fence;
    assert(fence.mode === 'inline', 'calls that block are those of inline commits');
    if (this.#state === 'running' || !queue.isEmpty) return new StoreBusyError('queue');
    lock.refreshNow();
    if (this.#health.isPoisoned) return this.#health.poisonedWrite('not-applied');
    const cause = lock.isInDoubt ? 'pause' : group.busyCause;
    if (cause === 'space') group.seekSpace();
    if (cause !== undefined) return new StoreBusyError(cause);
    return source.byteLength > 0 ? this.#parts.admission.admitNow() : undefined;
  }

  /** Resolves when nothing is being written, nothing is ready, and no sync is due. */
  async whenIdle(): Promise<void> {
    if (this.#state === 'idle') return;
    await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  get #isWanted(): boolean {
    const { queue, sync } = this.#parts;
    if (this.arrivals.areWaiting) return true;
    return queue.hasReady || this.#rotations.areWanted || sync.isDue;
  }

  async #run(): Promise<void> {
    this.#state = 'running';
    await begin(this.#turn());
  }

  *#turn(): Flow<void> {
    const { queue, sync, group } = this.#parts;
    if (sync.isDue) yield* this.#syncDue();
    const { lastSequence } = group.rotation;
    const wasGiven = this.arrivals.areWaiting || queue.hasReady;
    if (this.arrivals.areWaiting) yield* this.#applyArrived();
    if (queue.hasReady) yield* this.#commitNext();
    this.#lastTurn = group.rotation.lastSequence === lastSequence ? 'wrote-nothing' : 'wrote';
    const isStarved = wasGiven && this.#lastTurn === 'wrote-nothing';
    if (this.#rotations.areWanted) yield* this.#rotateIdle(isStarved);
    this.#rest();
  }

  /**
   * The write of the next group rotates the log, if there is one. `isStarved`: the last group wrote
   * nothing, and neither may the groups that follow it.
   */
  *#rotateIdle(isStarved: boolean): Flow<void> {
    const { queue, group } = this.#parts;
    const isComing = (): boolean => queue.hasReady && !isStarved;
    if (!isComing()) yield* group.rotation.rotateIdle(isComing);
  }

  /** Ends the turn. Writers that were acknowledged in it may call `commitNow` at once. */
  #rest(): void {
    this.#state = 'idle';
    if (this.#isWanted) this.wake();
    else for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  /** Handles a bug. Rejects everything that is pending, because it would otherwise never settle. */
  #breakOff(bug: unknown): void {
    const { queue, observer } = this.#parts;
    const health = this.#health;
    observer.failed('commit', health.broken(bug));
    queue.rejectInFlight(() => health.poisonedWrite('unknown'));
    queue.rejectQueued(() => health.poisonedWrite('not-applied'));
    this.#rotations.reject(health.poisonedWrite('not-applied'));
    for (const { reject } of this.arrivals.take()) reject(health.poisonedWrite('unknown'));
    this.#state = 'idle';
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  *#syncDue(): Flow<void> {
    const { queue, group } = this.#parts;
    const error = yield* group.syncFenced();
    if (error !== undefined) queue.rejectQueued(() => this.#health.poisonedWrite('not-applied'));
  }

  /** After a group that could not be applied, later groups would leave a gap. */
  *#applyArrived(): Flow<void> {
    const { admission, group: commits } = this.#parts;
    const health = this.#health;
    let refusal: StoreError | undefined;
    for (const { group, resolve, reject } of this.arrivals.take()) {
      if (health.isPoisoned) refusal = health.poisonedWrite('not-applied');
      refusal ??= (yield* waited(admission.admit())) ?? (yield* commits.apply(group));
      if (refusal !== undefined) {
        reject(refusal);
        continue;
      }
      yield* commits.afterCommit();
      resolve();
    }
  }

  *#commitNext(): Flow<void> {
    const { queue, admission } = this.#parts;
    const { isPoisoned } = this.#health;
    const refusal = isPoisoned ? undefined : yield* waited(admission.admit());
    const batches = queue.take();
    if (batches.length === 0) return;
    const needsRoom = batches.some(({ lengthBytes }) => lengthBytes > 0);
    if (needsRoom && refusal !== undefined && !this.#health.isPoisoned) {
      queue.settle(batches, refusal);
      return;
    }
    yield* this.#commitTaken(batches, true);
  }

  /** `mayWait`: whether it may wait until space is made on a full disk. */
  *#commitTaken(batches: readonly QueuedBatch[], mayWait: boolean): Flow<void> {
    const { queue, observer, group } = this.#parts;
    const health = this.#health;
    if (health.isPoisoned) {
      queue.settle(batches, health.poisonedWrite('not-applied'));
      return;
    }
    const { lastSequence } = group.rotation;
    const groupError = yield* observer.commit(batches, () => group.commitInRoom(batches, mayWait));
    if (groupError === undefined) numberBatches(batches, lastSequence);
    // A batch that was left out is not in the log, whatever happened to its group.
    const isGroupUnknown = groupError?.outcome === 'unknown' && health.isPoisoned;
    const errorOfLeftOut = isGroupUnknown ? health.poisonedWrite('not-applied') : groupError;
    observer.settled(batches, groupError);
    queue.settle(batches, groupError, errorOfLeftOut);
    if (health.isPoisoned) queue.rejectQueued(() => health.poisonedWrite('not-applied'));
    else if (groupError === undefined) yield* group.afterCommit();
  }

  /**
   * Seals the live log when the store is closed, so that the next open knows that it is complete.
   */
  async sealForClose(): Promise<void> {
    assert(this.#state === 'idle', 'the last group has been written');
    await begin(this.#parts.group.rotation.seal());
  }

  /** Stops the timer of deferred batches for good. */
  stopTimer(): void {
    this.#parts.sync.stop();
  }

  /** @throws StorePoisonedError if batches that were acknowledged without a sync may be lost */
  requireSynced(): void {
    if (this.#parts.sync.unsyncedBytes > 0) throw this.#health.poisonedWrite('unknown');
  }
}

/**
 * Assigns consecutive numbers to the written batches. A batch that wrote nothing gets the number of
 * the previous one.
 */
function numberBatches(batches: readonly QueuedBatch[], lastSequence: bigint): void {
  let sequence = lastSequence;
  for (const batch of batches) {
    // `giveUp` has rejected the whole group meanwhile.
    if (batch.state === 'settled') return;
    if (batch.refusal === undefined && batch.packed!.recordCount > 0) sequence++;
    batch.sequence = sequence;
  }
}
