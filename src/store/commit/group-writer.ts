import { monotonicMs } from '../../base/timers.ts';
import { present } from '../../base/assert.ts';
import type { StoreError } from '../../base/errors.ts';
import { begin, waited, type Flow } from '../../base/flow.ts';
import { FILE_HEADER_BYTES } from '../../format/file-header.ts';
import { encodedPayload } from '../../format/frame.ts';
import type { EncodedWrite, Group, GroupEncoder } from '../../log/group-encoder.ts';
import type { LogWriter } from '../../log/log-writer.ts';
import { MAX_UNSYNCED_BYTES, type BatchDurability } from '../batch/durability.ts';
import type { CommitStats } from '../observe/commit-stats.ts';
import type { CommitGate } from './commit-gate.ts';
import type { Fence } from './fence.ts';
import type { LogSync } from './log-sync.ts';
import type { Publisher } from './publisher.ts';
import { poison, writeFailure } from './write-failure.ts';

export interface GroupWriterParts {
  readonly encoder: GroupEncoder;
  readonly publisher: Publisher;
  readonly sync: LogSync;
  readonly fence: Fence;
  readonly stats: CommitStats;
  /** Of a replicated store: passed before the write. */
  readonly gate: CommitGate | undefined;
}

/** What one write holds. Without a group it is a seal. */
export interface LogWrite {
  readonly group?: Group | undefined;
  readonly seal: boolean;
}

/** A write that only has to be executed. */
interface PreparedWrite {
  readonly encoded: EncodedWrite;
  readonly encodeMs: number;
  readonly isDurable: boolean;
  readonly seal: boolean;
}

type WriteResult = { readonly endMs: number } | { readonly error: unknown };

/** Makes a group durable in the live log: steps 3 to 6 of a group, between copying and showing. */
export class GroupWriter {
  readonly #parts: GroupWriterParts;

  constructor(parts: GroupWriterParts) {
    this.#parts = parts;
  }

  /** Why nothing may be written any more, or undefined. */
  get refusal(): StoreError | undefined {
    const { health } = this.#parts.fence;
    return health.isPoisoned ? health.poisonedWrite('not-applied') : undefined;
  }

  /** Encodes and writes. Returns the error if that failed. */
  *write(
    log: LogWriter,
    { group, seal }: LogWrite,
    durability: BatchDurability = 'sync',
  ): Flow<StoreError | undefined> {
    const { fence, encoder, gate } = this.#parts;
    const isDurable = seal || durability === 'sync' || log.unsyncedBytes >= MAX_UNSYNCED_BYTES;
    const syncError = isDurable && log.unsyncedBytes > 0 ? yield* this.syncFenced() : undefined;
    if (syncError !== undefined) return syncError;
    const encodeStart = monotonicMs();
    const encoded = yield* log.encode(encoder, { group, seal });
    const encodeMs = monotonicMs() - encodeStart;
    const fenced = yield* fence.check('not-applied');
    if (fenced !== undefined) return fenced;
    const prepared = { encoded, encodeMs, isDurable, seal };
    // A group that was read from the shared log has already passed the gate.
    if (gate === undefined || group === undefined || group.stored !== undefined) {
      return yield* this.#writeLocal(log, prepared, group);
    }
    return yield* this.#writeGated(log, prepared, group);
  }

  /** Writes while the rows of the group are indexed. */
  *#writeLocal(
    log: LogWriter,
    prepared: PreparedWrite,
    group: Group | undefined,
  ): Flow<StoreError | undefined> {
    const { fence, publisher } = this.#parts;
    const startMs = monotonicMs();
    const writing = begin(execute(log, prepared));
    if (group !== undefined) yield* publisher.index();
    const written = yield* waited(writing);
    if ('error' in written) return yield* writeFailure(fence, log, written.error);
    return yield* this.#written(prepared, written.endMs - startMs);
  }

  /** Writes after the shared log has accepted the group, which is then committed. */
  *#writeGated(
    log: LogWriter,
    prepared: PreparedWrite,
    group: Group,
  ): Flow<StoreError | undefined> {
    const refused = yield* this.#passGate(log, prepared.encoded, group);
    if (refused !== undefined) return refused;
    const startMs = monotonicMs();
    const written = yield* execute(log, prepared);
    // The shared log has the group, so it is committed: a failure here cannot take it back and
    // poisons.
    if ('error' in written) return yield* poison(this.#parts.fence, log.path, written.error);
    return yield* this.#written(prepared, written.endMs - startMs);
  }

  *#written(
    { encoded, encodeMs, isDurable }: PreparedWrite,
    writeMs: number,
  ): Flow<StoreError | undefined> {
    const { fence, stats, sync } = this.#parts;
    stats.written(encoded.bytes.length, encodeMs, writeMs, isDurable);
    const lost = yield* fence.check('unknown');
    // The caller shows the group in this turn of the event loop.
    if (lost === undefined) sync.acknowledge();
    return lost;
  }

  /**
   * Appends the group to the shared log while its rows are indexed. Room for it here is made
   * before: afterwards the group is committed, and a failure here leaves this store behind.
   */
  *#passGate(log: LogWriter, encoded: EncodedWrite, group: Group): Flow<StoreError | undefined> {
    const { gate, fence, publisher } = this.#parts;
    const room = yield* tryToWrite(log.makeRoom(encoded));
    if ('error' in room) return yield* writeFailure(fence, log, room.error);
    const offset = log.lengthBytes === 0 ? FILE_HEADER_BYTES : 0;
    const appending = present(gate, 'asked by the caller').append({
      firstSequence: log.lastSequence + 1n,
      batchCount: group.batchCount,
      recordCount: group.recordCount,
      decodedBytes: group.decoded.length,
      stored: encodedPayload(encoded.bytes, offset),
      hasIntervals: group.hasIntervals === true,
    });
    yield* publisher.index();
    const refused = yield* waited(appending);
    if (refused !== undefined) return refused;
    const { health } = fence;
    return health.isPoisoned ? health.poisonedWrite('unknown') : undefined;
  }

  /**
   * Commits a group whose batches write nothing. Earlier bytes may still have to be synced.
   * `isJudged`: whether the outcome of a batch depends on the state that was found.
   */
  *writeNothing(durability: BatchDurability, isJudged: boolean): Flow<StoreError | undefined> {
    const { sync, fence, gate } = this.#parts;
    // A condition that fails is an answer about the newest state.
    const stale = isJudged ? yield* waited(gate?.confirm()) : undefined;
    if (stale !== undefined) return stale;
    const isSynced = durability === 'sync' && sync.unsyncedBytes > 0;
    const error = isSynced ? yield* this.syncFenced() : undefined;
    if (error !== undefined) return error;
    return isJudged || isSynced ? yield* fence.check('not-applied') : undefined;
  }

  /**
   * Syncs the log, and acknowledges the synced batches to change feeds and followers. The fence is
   * checked before the sync, which could otherwise change a log of another host, and before the
   * acknowledgement. A sync that the fence refuses is no longer due: the commit loop would
   * otherwise loop forever.
   */
  *syncFenced(): Flow<StoreError | undefined> {
    const { fence, sync } = this.#parts;
    sync.begin();
    return (yield* fence.check('not-applied')) ?? (yield* sync.run());
  }
}

function execute(log: LogWriter, { encoded, isDurable, seal }: PreparedWrite): Flow<WriteResult> {
  const write = isDurable ? log.write(encoded, seal) : log.writeVolatile(encoded);
  return tryToWrite(write);
}

function* tryToWrite(write: Flow<void>): Flow<WriteResult> {
  try {
    yield* write;
    return { endMs: monotonicMs() };
  } catch (error) {
    return { error };
  }
}
