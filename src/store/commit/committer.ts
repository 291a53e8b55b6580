import { monotonicMs, nextTick } from '../../base/timers.ts';
import { assert, present } from '../../base/assert.ts';
import { FencedError, isFileTooLong, StoreError, StoreFullError } from '../../base/errors.ts';
import type { DirectoryLock } from '../../directory/held-lock.ts';
import { batchTableBytes } from '../../format/rows.ts';
import { GroupEncoder, type Group } from '../../log/group-encoder.ts';
import type { LogWriter } from '../../log/log-writer.ts';
import type { Table } from '../../table/table.ts';
import type { BatchQueue, QueuedBatch } from '../batch/batch-queue.ts';
import { ConditionJudge } from './condition-judge.ts';
import type { CommitStats } from '../observe/commit-stats.ts';
import { gather } from './gather.ts';
import type { Health } from './health.ts';
import { MAX_UNSYNCED_BYTES, type BatchDurability } from '../batch/durability.ts';
import type { LogKeeper } from './log-keeper.ts';
import type { SpaceKeeper } from '../space/space-keeper.ts';
import type { LogSync } from './log-sync.ts';
import { Rotations } from './rotations.ts';
import { writeFailure } from './write-failure.ts';
import type { StoreObserver } from '../observe/store-observer.ts';

export interface CommitterParts {
  readonly queue: BatchQueue;
  readonly table: Table;
  readonly logs: LogKeeper;
  readonly sync: LogSync;
  readonly health: Health;
  readonly stats: CommitStats;
  readonly observer: StoreObserver;
  readonly space: SpaceKeeper;
  readonly lock: DirectoryLock;
  /** Asked before each group: what stands against it, once it has waited as long as it must. */
  readonly admit: () => Promise<StoreError | undefined> | StoreError | undefined;
  readonly onCommitted: () => void;
  /** The live log has ended, and all of it is durable. */
  readonly onEnded: () => void;
  readonly pause: () => Promise<void>;
  readonly rotateBytes: number;
  readonly compressionLevel: number;
}

/**
 * Group commit. One group is written at a time; what queues up meanwhile becomes the next. Whatever changes the live log
 * goes through this loop, so a group, a seal, a sync and a rotation never meet.
 *
 * States of the loop: `idle`; `scheduled`: a turn is due; `running`: a turn is under way. A turn syncs if the timer of
 * deferred batches rang, writes one group, and rotates if that was asked for. Steps of a group:
 *
 *  1. `take` batches that are ready; wait, or refuse them, where merges do not keep up.
 *  2. Judge room and conditions. Nothing is in flight, so the table is all that was handed in before.
 *  3. Copy the rows into the live delta, hidden, and encode them as one frame.
 *  4. If the group is to be durable: sync what stands before it, or a crash could keep the group and lose that.
 *  5. Write. A durable write is one O_DSYNC call; the log's name and zeros became durable when it was prepared. The rows
 *     are indexed beside it, still hidden.
 *  6. Check that the lease is ours and that the log has kept its name. Show the rows; settle the promises.
 *
 * Beside a turn run: the preparation of the next log (`LogKeeper`), zeros reserved ahead in the live one (`LogWriter`;
 * a write past them waits), merges, which take closed logs only, and reads.
 *
 * What a crash leaves: in 1 to 4 nothing; in 5 the group whole, or a torn end that recovery cuts off, since nothing later
 * was written; after 6 the group, whole. A seal or a next log is written only when all before it is durable.
 *
 * What a failure leaves: a call that has changed nothing (no descriptor, no room once the log is cut back) rejects the
 * group `not-applied`, and the loop goes on. One whose effect is unknown poisons the store: the group is `unknown`, all
 * behind it `not-applied`. So does a bug, wherever it is thrown (`#breakOff`).
 */
export class Committer {
  readonly #parts: CommitterParts;
  readonly #encoder: GroupEncoder = new GroupEncoder();
  #state: 'idle' | 'scheduled' | 'running' = 'idle';
  readonly #rotations: Rotations = new Rotations();
  #idleWaiters: (() => void)[] = [];

  constructor(parts: CommitterParts) {
    this.#parts = parts;
  }

  /** Looks at the queue soon. Called whenever something became ready. */
  wake(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'scheduled';
    // After all that runs now: writers that were acknowledged together hand in their next batches together.
    nextTick(() => void this.#run().catch((bug: unknown) => this.#breakOff(bug)));
  }

  /**
   * Closes the live log, with the next group if there is one, and resolves when its successor is in
   * place; at once when the live log holds nothing. `atBoundary` is called before any later group begins.
   */
  rotate(atBoundary: () => void): Promise<void> {
    const rotated = this.#rotations.add(atBoundary);
    this.wake();
    return rotated;
  }

  /** Resolves when nothing is being written, nothing is ready, and no sync is due. */
  async whenIdle(): Promise<void> {
    if (this.#state === 'idle') return;
    await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  async #run(): Promise<void> {
    this.#state = 'running';
    if (this.#parts.sync.isDue) await this.#syncDue();
    if (this.#parts.queue.hasReady) await this.#commitNext();
    if (this.#rotations.areWanted && !this.#parts.queue.hasReady) await this.#rotateIdle();
    this.#state = 'idle';
    const { queue, sync } = this.#parts;
    if (queue.hasReady || this.#rotations.areWanted || sync.isDue) this.wake();
    else for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  /** Something failed that cannot fail. Whoever waits is told: a loop that dies in silence would hang them. */
  #breakOff(bug: unknown): void {
    const { queue, health, observer } = this.#parts;
    observer.failed('commit', health.broken(bug));
    queue.rejectInFlight(() => health.poisonedWrite('unknown'));
    queue.rejectQueued(() => health.poisonedWrite('not-applied'));
    this.#rotations.reject(health.poisonedWrite('not-applied'));
    this.#state = 'idle';
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  async #syncDue(): Promise<void> {
    const { queue, health } = this.#parts;
    const error = await this.#syncFenced();
    if (error !== undefined) queue.rejectQueued(() => health.poisonedWrite('not-applied'));
  }

  async #commitNext(): Promise<void> {
    const { queue, health, observer } = this.#parts;
    const admitting = health.isPoisoned ? undefined : this.#parts.admit();
    const admission = admitting instanceof Promise ? await admitting : admitting;
    const batches = queue.take();
    if (batches.length === 0) return;
    const needsRoom = batches.some(({ lengthBytes }) => lengthBytes > 0);
    const full = needsRoom ? admission : undefined;
    const refusal = health.isPoisoned ? health.poisonedWrite('not-applied') : full;
    if (refusal !== undefined) {
      queue.settle(batches, refusal);
      return;
    }
    const error = await observer.commit(batches, () => this.#commitInRoom(batches));
    // A batch that was left out is not in the log, whatever became of its group.
    const isUnknown = error?.outcome === 'unknown';
    observer.settled(batches, error);
    queue.settle(batches, error, isUnknown ? health.poisonedWrite('not-applied') : error);
    if (health.isPoisoned) queue.rejectQueued(() => health.poisonedWrite('not-applied'));
    else if (error === undefined) await this.#afterCommit();
  }

  /**
   * Past a limit on the size of files the next log is tried. On a full disk, what only deletes is tried again in the
   * room of the reserve, if there is one.
   */
  async #commitInRoom(batches: readonly QueuedBatch[]): Promise<StoreError | undefined> {
    const error = await this.#commit(batches);
    if (!(error instanceof StoreFullError)) return error;
    if (isFileTooLong(error.cause) && (await this.#endLog())) return this.#commit(batches);
    const isRoomMade = await this.#parts.space.makeRoomForDeletes(batches, error);
    return isRoomMade ? this.#commit(batches) : error;
  }

  /**
   * Writes a group and makes it visible; durable too, if one of its batches is to be. Returns the error that
   * its batches are rejected with.
   */
  async #commit(batches: readonly QueuedBatch[]): Promise<StoreError | undefined> {
    const { table, logs, health, stats, queue, space } = this.#parts;
    const isJudged = queue.conditionalBatches > 0 || space.isLimited;
    if (isJudged) await this.#judge(batches);
    const written = batches.filter(
      ({ packed, refusal }) => packed!.recordCount > 0 && refusal === undefined,
    );
    const durability = batches.some((batch) => batch.durability === 'sync') ? 'sync' : 'deferred';
    if (written.length === 0) return this.#commitNothing(durability, isJudged);
    let log: LogWriter;
    try {
      log = await logs.writable();
    } catch (error) {
      return asRefusal(error);
    }
    if (health.isPoisoned) return health.poisonedWrite('not-applied');
    const rowsBytes = written.reduce((sum, batch) => sum + batch.lengthBytes, 0);
    const region = table.reserve(rowsBytes + batchTableBytes(written.length));
    const group = gather(region, written, rowsBytes);
    table.beginPublish(region, rowsBytes);
    const error = await this.#write(log, group, durability);
    if (error !== undefined) {
      table.abandonPublish();
      return error;
    }
    table.endPublish();
    stats.committed(written.length, group.recordCount);
    return undefined;
  }

  /**
   * The live log can be no longer: it ends where it was cut back. Resolves with whether another one has taken its
   * place; one that held nothing was not too long for its groups, but the group is for any log.
   */
  async #endLog(): Promise<boolean> {
    const { logs, sync } = this.#parts;
    const log = logs.live;
    if (log === undefined || log.lengthBytes === 0) return false;
    if ((await logs.waitForNext()) !== undefined) return false;
    if (log.unsyncedBytes > 0 && (await sync.run()) !== undefined) return false;
    log.endWithoutSeal();
    await this.#replaceLog();
    return true;
  }

  /** No batch of the group writes anything: what stands before it may have to be durable all the same. */
  async #commitNothing(
    durability: BatchDurability,
    isJudged: boolean,
  ): Promise<StoreError | undefined> {
    const { logs } = this.#parts;
    const isSynced = durability === 'sync' && logs.unsyncedBytes > 0;
    const error = isSynced ? await this.#syncFenced() : undefined;
    if (error !== undefined) return error;
    return isJudged || isSynced ? this.#fence('not-applied') : undefined;
  }

  /** Indexes the group while it is being written: the event loop has nothing else to do for it then. */
  async #index(): Promise<void> {
    while (!this.#parts.table.stepPublish()) await this.#parts.pause();
  }

  /** The group before this one is published and none is in flight: the table is what conditions ask about. */
  async #judge(batches: readonly QueuedBatch[]): Promise<void> {
    const { table, queue, space, pause } = this.#parts;
    if (space.isLimited) await space.judge(batches);
    if (queue.conditionalBatches > 0) await new ConditionJudge(table, pause).judge(batches);
  }

  /** Encodes and writes a group, or only a seal. Returns the error if that failed. */
  async #write(
    log: LogWriter,
    group: Group | undefined,
    durability: BatchDurability = 'sync',
  ): Promise<StoreError | undefined> {
    const { health, stats, pause, compressionLevel } = this.#parts;
    const seal = group === undefined || this.#isRotationDue(log);
    const isDurable = seal || durability === 'sync' || log.unsyncedBytes >= MAX_UNSYNCED_BYTES;
    const syncError = isDurable && log.unsyncedBytes > 0 ? await this.#syncFenced() : undefined;
    if (syncError !== undefined) return syncError;
    const encodeStart = monotonicMs();
    const encoded = await log.encode(this.#encoder, { group, seal }, compressionLevel, pause);
    const before = this.#fence('not-applied');
    const fenced = before === undefined ? undefined : await before;
    if (fenced !== undefined) return fenced;
    if (health.isPoisoned) return health.poisonedWrite('not-applied');
    const writeStart = monotonicMs();
    const write = isDurable ? log.write(encoded, seal) : log.writeVolatile(encoded);
    const writing = write.then(
      () => ({ syncMs: monotonicMs() - writeStart }),
      (error: unknown) => ({ error }),
    );
    if (group !== undefined) await this.#index();
    const written = await writing;
    if ('error' in written) return writeFailure(this.#parts, log, written.error);
    const lengthBytes = encoded.bytes.length;
    stats.written(lengthBytes, writeStart - encodeStart, written.syncMs, isDurable);
    return this.#fence('unknown');
  }

  #isRotationDue(log: LogWriter): boolean {
    const { logs, rotateBytes } = this.#parts;
    const isLong = log.lengthBytes >= logs.rotateAt(rotateBytes);
    const isWanted = this.#rotations.areWanted || isLong;
    return isWanted && logs.canRotate;
  }

  /** Followers are shown what is synced: that is an acknowledgement, so the fence comes before it. */
  async #syncFenced(): Promise<StoreError | undefined> {
    return (await this.#fence('not-applied')) ?? this.#parts.sync.run();
  }

  /** Undefined where the directory is ours, which costs no turn of the event loop; else what a pause ends in. */
  #fence(outcome: 'not-applied' | 'unknown'): Promise<StoreError | undefined> | undefined {
    const regained = this.#parts.lock.whenHeld();
    return regained && this.#throughPause(regained, outcome);
  }

  /** Returns the error of a write when the directory is not ours any more. */
  async #throughPause(
    regained: Promise<void>,
    outcome: 'not-applied' | 'unknown',
  ): Promise<StoreError | undefined> {
    const { health } = this.#parts;
    try {
      await regained;
      return undefined;
    } catch (error) {
      if (!(error instanceof FencedError)) throw error;
      health.poisonWith(error);
      return health.poisonedWrite(outcome);
    }
  }

  /** The group is acknowledged: whatever fails from here on concerns the next one. */
  async #afterCommit(): Promise<void> {
    const { logs, sync, rotateBytes, space } = this.#parts;
    const log = logs.live;
    sync.noteWrite();
    if (log?.isEnded === true) await this.#replaceLog();
    else if (log !== undefined && log.lengthBytes > 0) {
      log.reserveAhead(space.reserveLimit(log.fileBytes, logs.rotateAt(rotateBytes)));
      logs.prepareNext();
    }
    space.written(log?.fileBytes ?? 0);
    this.#parts.onCommitted();
  }

  async #replaceLog(): Promise<void> {
    const { logs, observer, onEnded } = this.#parts;
    onEnded();
    const ended = present(logs.live, 'only a live log is ended');
    try {
      await observer.rotate(ended, () => logs.replaceLive());
    } catch (error) {
      this.#rotations.reject(asRefusal(error));
      return;
    }
    this.#rotations.finish();
  }

  /** Rotates while no group is ready: the seal is written alone. */
  async #rotateIdle(): Promise<void> {
    const { logs, health, queue } = this.#parts;
    if (health.isPoisoned) {
      this.#rotations.reject(health.poisonedWrite('not-applied'));
      return;
    }
    const log = logs.live;
    if (log === undefined || log.lengthBytes === 0) {
      this.#rotations.finish();
      return;
    }
    const refusal = await logs.waitForNext();
    if (refusal === undefined && queue.hasReady) return;
    const error = refusal ?? (await this.#write(log, undefined));
    if (error === undefined) await this.#replaceLog();
    else this.#rotations.reject(error);
  }

  /**
   * Seals the live log at the end of the store's life, so that the next open knows it whole. Without
   * room for the seal the log simply ends after its last group.
   */
  async sealForClose(): Promise<void> {
    const { logs, health } = this.#parts;
    assert(this.#state === 'idle', 'the last group has been written');
    const log = logs.live;
    if (log === undefined || log.lengthBytes === 0 || health.isPoisoned) return;
    await this.#write(log, undefined);
  }

  /** @throws StorePoisonedError when batches that were acknowledged without a sync may be lost */
  requireSynced(): void {
    const { logs, health } = this.#parts;
    if (logs.unsyncedBytes > 0) throw health.poisonedWrite('unknown');
  }
}

/** The error that a caller is told. Throws what is none of ours: a bug. */
function asRefusal(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  throw error;
}
