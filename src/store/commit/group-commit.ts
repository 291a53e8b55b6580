import { monotonicMs } from '../../base/timers.ts';
import { present } from '../../base/assert.ts';
import {
  FencedError,
  isFileTooLong,
  StoreBusyError,
  StoreError,
  StoreFullError,
} from '../../base/errors.ts';
import { begin, waited, type Flow } from '../../base/flow.ts';
import { FILE_HEADER_BYTES } from '../../format/file-header.ts';
import { encodedPayload } from '../../format/frame.ts';
import { batchTableBytes, holdsInterval } from '../../format/group-rows.ts';
import {
  GroupEncoder,
  type EncodedWrite,
  type Group,
  type Pause,
} from '../../log/group-encoder.ts';
import type { LogWriter } from '../../log/log-writer.ts';
import type { Table } from '../../table/table.ts';
import type { BatchQueue, QueuedBatch } from '../batch/batch-queue.ts';
import { MAX_UNSYNCED_BYTES, type BatchDurability } from '../batch/durability.ts';
import type { CommitStats } from '../observe/commit-stats.ts';
import type { StoreObserver } from '../observe/store-observer.ts';
import type { SpaceKeeper } from '../space/space-keeper.ts';
import type { ArrivedGroup, CommitGate } from './commit-gate.ts';
import { ConditionJudge } from './condition-judge.ts';
import { publishExpanded } from './expand-batch.ts';
import { gather } from './gather.ts';
import type { Health } from './health.ts';
import type { LogKeeper } from './log-keeper.ts';
import type { LogSync } from './log-sync.ts';
import { Rotations } from './rotations.ts';
import { poison, writeFailure, type WhenHeld } from './write-failure.ts';

export interface GroupCommitParts {
  readonly queue: BatchQueue;
  readonly table: Table;
  readonly logs: LogKeeper;
  readonly sync: LogSync;
  readonly health: Health;
  readonly stats: CommitStats;
  readonly observer: StoreObserver;
  readonly space: SpaceKeeper;
  /** The fence. For inline commits, it proves ownership after a pause before it returns. */
  readonly whenHeld: WhenHeld;
  /** Called between slices of a large group. Undefined for inline commits. */
  readonly pause: Pause;
  readonly onCommitted: () => void;
  /** Called when the live log has ended and all of it is durable. */
  readonly onEnded: () => void;
  readonly rotateBytes: number;
  readonly compressionLevel: number;
  /** Of a replicated store: passed before the write. */
  readonly gate?: CommitGate | undefined;
}

/**
 * Steps 2 to 6 of a group (see `Committer`), and the changes of the live log around it. Each method
 * is a flow: it waits for non-blocking file calls, and never waits over blocking ones.
 */
export class GroupCommit {
  readonly #parts: GroupCommitParts;
  readonly #encoder: GroupEncoder = new GroupEncoder();
  readonly #rotations: Rotations = new Rotations();

  constructor(parts: GroupCommitParts) {
    this.#parts = parts;
  }

  /** Requested rotations. They are done with the next group, or by `rotateIdle`. */
  get rotations(): Rotations {
    return this.#rotations;
  }

  /**
   * Commits a group. If the log would exceed a limit on the file size, the next log is tried. On a
   * full disk, batches that only delete are retried in the space of the reserve, if there is one.
   */
  *commitInRoom(batches: readonly QueuedBatch[], mayWait: boolean): Flow<StoreError | undefined> {
    const error = yield* this.#commit(batches);
    if (!(error instanceof StoreFullError)) return error;
    if (isFileTooLong(error.cause) && (yield* this.#endLog())) return yield* this.#commit(batches);
    const { space } = this.#parts;
    if (!mayWait && space.hasReserve) return new StoreBusyError('space', { cause: error });
    const isRoomMade = yield* space.makeRoomForDeletes(batches, error);
    return isRoomMade ? yield* this.#commit(batches) : error;
  }

  /**
   * Writes a group and makes it visible, and durable if one of its batches requires it. Returns the
   * error that its batches are rejected with.
   */
  *#commit(batches: readonly QueuedBatch[]): Flow<StoreError | undefined> {
    const { table, health, queue, space, gate } = this.#parts;
    const refused = gate?.refusal(batches);
    if (refused !== undefined) return refused;
    const isJudged = queue.conditionalBatches > 0 || space.isLimited;
    if (isJudged) yield* this.#judge(batches);
    const written = batches.filter(
      ({ packed, refusal }) => packed!.recordCount > 0 && refusal === undefined,
    );
    const durability = batches.some((batch) => batch.durability === 'sync') ? 'sync' : 'deferred';
    if (written.length === 0) return yield* this.#commitNothing(durability, isJudged);
    const { rows, hasIntervals, recordCount } = written[0]!.packed!;
    const log = yield* this.#writable(hasIntervals);
    if (log instanceof StoreError) return log;
    if (health.isPoisoned) return health.poisonedWrite('not-applied');
    if (hasIntervals) {
      const group = { decoded: rows, batchCount: 1, recordCount, hasIntervals };
      return yield* this.#writeExpanded(log, group, durability);
    }
    const rowsBytes = written.reduce((sum, batch) => sum + batch.lengthBytes, 0);
    const region = table.reserve(rowsBytes + batchTableBytes(written.length));
    const group = gather(region, written, rowsBytes);
    table.beginPublish(region, rowsBytes);
    return yield* this.#finish(yield* this.write(log, group, durability), group);
  }

  /** Writes a group of one batch that deletes intervals, and shows the deletes of single keys. */
  *#writeExpanded(
    log: LogWriter,
    group: Group,
    durability: BatchDurability,
  ): Flow<StoreError | undefined> {
    const { table, pause } = this.#parts;
    const refusal = yield* publishExpanded(table, group.decoded, pause);
    if (refusal !== undefined) return refusal;
    return yield* this.#finish(yield* this.write(log, group, durability), group);
  }

  /**
   * Writes a group that was read from a shared log, without a sync, and shows it. Returns the error
   * if that failed.
   */
  *apply(arrived: ArrivedGroup): Flow<StoreError | undefined> {
    const { table, health } = this.#parts;
    const { decoded, batchCount, recordCount, stored } = arrived;
    // Such a group has one batch.
    const hasIntervals = batchCount === 1 && holdsInterval(decoded);
    const log = yield* this.#writable(hasIntervals);
    if (log instanceof StoreError) return log;
    if (health.isPoisoned) return health.poisonedWrite('not-applied');
    if (hasIntervals) {
      const group = { decoded, batchCount, recordCount, stored, hasIntervals };
      return yield* this.#writeExpanded(log, group, 'deferred');
    }
    const region = table.reserve(decoded.length);
    region.bytes.set(decoded);
    table.beginPublish(region, decoded.length - batchTableBytes(batchCount));
    const group = { decoded: region.bytes, batchCount, recordCount, stored };
    return yield* this.#finish(yield* this.write(log, group, 'deferred'), group);
  }

  /** Shows the group that has been written, or takes it back. */
  *#finish(error: StoreError | undefined, group: Group): Flow<StoreError | undefined> {
    const { table, stats, pause } = this.#parts;
    if (error !== undefined) {
      while (!table.stepAbandon()) yield* waited(pause?.());
      return error;
    }
    table.endPublish();
    stats.committed(group.batchCount, group.recordCount);
    this.#parts.gate?.shown();
    return undefined;
  }

  /**
   * The log to write to, or why there is none. A log whose version has no deletes of intervals is
   * closed before one is written.
   */
  *#writable(isForIntervals: boolean): Flow<LogWriter | StoreError> {
    const { logs } = this.#parts;
    try {
      const log = yield* logs.writable();
      if (!isForIntervals || log.mayHoldIntervals) return log;
      const refusal = yield* logs.waitForNext();
      if (refusal !== undefined) return refusal;
      const error = yield* this.write(log, undefined);
      if (error !== undefined) return error;
      yield* this.#replaceLog();
      return yield* logs.writable();
    } catch (error) {
      return asRefusal(error);
    }
  }

  /**
   * Ends the live log where it was cut back, because it cannot grow. Resolves with whether another
   * log has replaced it. It does not if the log was empty: then the group is too large for any log.
   */
  *#endLog(): Flow<boolean> {
    const { logs, sync } = this.#parts;
    const log = logs.live;
    if (log === undefined || log.lengthBytes === 0) return false;
    if ((yield* logs.waitForNext()) !== undefined) return false;
    if (log.unsyncedBytes > 0 && (yield* sync.run()) !== undefined) return false;
    log.endWithoutSeal();
    yield* this.#replaceLog();
    return true;
  }

  /** Commits a group whose batches write nothing. Earlier bytes may still have to be synced. */
  *#commitNothing(durability: BatchDurability, isJudged: boolean): Flow<StoreError | undefined> {
    const { logs, gate } = this.#parts;
    // A condition that fails is an answer about the newest state.
    const stale = isJudged ? yield* waited(gate?.confirm()) : undefined;
    if (stale !== undefined) return stale;
    const isSynced = durability === 'sync' && logs.unsyncedBytes > 0;
    const error = isSynced ? yield* this.syncFenced() : undefined;
    if (error !== undefined) return error;
    return isJudged || isSynced ? yield* this.#fence('not-applied') : undefined;
  }

  /**
   * Indexes the group while it is being written, when the event loop has nothing else to do for it.
   */
  *#index(): Flow<void> {
    while (!this.#parts.table.stepPublish()) yield* waited(this.#parts.pause?.());
  }

  /**
   * The previous group is published and none is in flight, so conditions can be evaluated on the
   * table.
   */
  *#judge(batches: readonly QueuedBatch[]): Flow<void> {
    const { table, queue, space, pause } = this.#parts;
    if (space.isLimited) yield* space.judge(batches);
    if (queue.conditionalBatches > 0) yield* new ConditionJudge(table, pause).judge(batches);
  }

  /** Encodes and writes a group, or only a seal. Returns the error if that failed. */
  *write(
    log: LogWriter,
    group: Group | undefined,
    durability: BatchDurability = 'sync',
  ): Flow<StoreError | undefined> {
    const { health, stats, pause, compressionLevel } = this.#parts;
    const seal = group === undefined || this.#isRotationDue(log);
    const isDurable = seal || durability === 'sync' || log.unsyncedBytes >= MAX_UNSYNCED_BYTES;
    const syncError = isDurable && log.unsyncedBytes > 0 ? yield* this.syncFenced() : undefined;
    if (syncError !== undefined) return syncError;
    const encodeStart = monotonicMs();
    const encoded = yield* log.encode(this.#encoder, { group, seal }, compressionLevel, pause);
    const fenced = yield* this.#fence('not-applied');
    if (fenced !== undefined) return fenced;
    if (health.isPoisoned) return health.poisonedWrite('not-applied');
    const isGated =
      group !== undefined && group.stored === undefined && this.#parts.gate !== undefined;
    const refused = isGated ? yield* this.#passGate(log, encoded, group) : undefined;
    if (refused !== undefined) return refused;
    const writeStart = monotonicMs();
    const write = isDurable ? log.write(encoded, seal) : log.writeVolatile(encoded);
    const writing = begin(tryToWrite(write));
    if (group !== undefined && !isGated) yield* this.#index();
    const written = yield* waited(writing);
    if ('error' in written) {
      const { error } = written;
      // What a shared log holds is committed: without room for it here, this store is behind.
      if (isGated) return yield* poison(this.#parts, log.path, error);
      return yield* writeFailure(this.#parts, log, error);
    }
    const lengthBytes = encoded.bytes.length;
    stats.written(lengthBytes, writeStart - encodeStart, written.endMs - writeStart, isDurable);
    return yield* this.#fence('unknown');
  }

  /**
   * Appends the group to the shared log while its rows are indexed. Room for it here is made
   * before: afterwards the group is committed, and a failure here leaves this store behind.
   */
  *#passGate(log: LogWriter, encoded: EncodedWrite, group: Group): Flow<StoreError | undefined> {
    const room = yield* tryToWrite(log.makeRoom(encoded));
    if ('error' in room) return yield* writeFailure(this.#parts, log, room.error);
    const { gate, health } = this.#parts;
    const offset = log.lengthBytes === 0 ? FILE_HEADER_BYTES : 0;
    const appending = present(gate, 'asked by the caller').append({
      firstSequence: log.lastSequence + 1n,
      batchCount: group.batchCount,
      recordCount: group.recordCount,
      decodedBytes: group.decoded.length,
      stored: encodedPayload(encoded.bytes, offset),
    });
    yield* this.#index();
    const refused = yield* waited(appending);
    if (refused !== undefined) return refused;
    return health.isPoisoned ? health.poisonedWrite('unknown') : undefined;
  }

  #isRotationDue(log: LogWriter): boolean {
    const { logs, rotateBytes } = this.#parts;
    const isLong = log.lengthBytes >= logs.rotateAt(rotateBytes);
    const isWanted = this.#rotations.areWanted || isLong;
    return isWanted && logs.canRotate;
  }

  /**
   * Syncs the log. Change feeds then deliver the synced batches, which is an acknowledgement, so
   * the fence is checked first.
   */
  *syncFenced(): Flow<StoreError | undefined> {
    return (yield* this.#fence('not-applied')) ?? (yield* this.#parts.sync.run());
  }

  /**
   * Returns an error if the directory is no longer ours. Does not wait while it is known to be
   * ours.
   */
  *#fence(outcome: 'not-applied' | 'unknown'): Flow<StoreError | undefined> {
    const { health, whenHeld } = this.#parts;
    try {
      const regained = whenHeld();
      if (regained !== undefined) yield regained;
      return undefined;
    } catch (error) {
      if (!(error instanceof FencedError)) throw error;
      health.poisonWith(error);
      return health.poisonedWrite(outcome);
    }
  }

  /** Runs after the group was acknowledged: failures from here on concern the next group. */
  *afterCommit(): Flow<void> {
    const { logs, sync, rotateBytes, space } = this.#parts;
    const log = logs.live;
    sync.noteWrite();
    if (log?.isEnded === true) yield* this.#replaceLog();
    else if (log !== undefined && log.lengthBytes > 0) {
      log.reserveAhead(space.reserveLimit(log.fileBytes, logs.rotateAt(rotateBytes)));
      logs.prepareNext();
    }
    space.written(log?.fileBytes ?? 0);
    this.#parts.onCommitted();
  }

  *#replaceLog(): Flow<void> {
    const { logs, observer, onEnded } = this.#parts;
    onEnded();
    const ended = present(logs.live, 'only a live log is ended');
    try {
      yield* observer.rotate(ended, () => logs.replaceLive());
    } catch (error) {
      this.#rotations.reject(asRefusal(error));
      return;
    }
    this.#rotations.finish();
  }

  /** Rotates while no group is ready: writes only the seal. */
  *rotateIdle(): Flow<void> {
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
    const refusal = yield* logs.waitForNext();
    if (refusal === undefined && queue.hasReady) return;
    const error = refusal ?? (yield* this.write(log, undefined));
    if (error === undefined) yield* this.#replaceLog();
    else this.#rotations.reject(error);
  }
}

function* tryToWrite(
  write: Flow<void>,
): Flow<{ readonly endMs: number } | { readonly error: unknown }> {
  try {
    yield* write;
    return { endMs: monotonicMs() };
  } catch (error) {
    return { error };
  }
}

/** Returns an error for the caller. Throws any other error, which is a bug. */
function asRefusal(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  throw error;
}
