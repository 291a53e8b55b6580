import { present } from '../../base/assert.ts';
import { StoreError } from '../../base/errors.ts';
import type { Flow } from '../../base/flow.ts';
import type { LogWriter } from '../../log/log-writer.ts';
import type { StoreObserver } from '../observe/store-observer.ts';
import type { SpaceKeeper } from '../space/space-keeper.ts';
import type { GroupWriter } from './group-writer.ts';
import type { LogKeeper } from './log-keeper.ts';
import type { LogSync } from './log-sync.ts';
import { Rotations } from './rotations.ts';

export interface LogRotationParts {
  readonly logs: LogKeeper;
  readonly writer: GroupWriter;
  readonly sync: LogSync;
  readonly space: SpaceKeeper;
  readonly observer: StoreObserver;
  /** Called when the live log has ended and all of it is durable. */
  readonly onEnded: () => void;
}

/**
 * Ends the live log and replaces it by the prepared one. All methods are called by the commit loop,
 * between two groups.
 */
export class LogRotation {
  /** Requested rotations. They are done with the next group, or by `rotateIdle`. */
  readonly requests: Rotations = new Rotations();
  readonly #parts: LogRotationParts;

  constructor(parts: LogRotationParts) {
    this.#parts = parts;
  }

  /** Sequence number of the last batch in the logs. */
  get lastSequence(): bigint {
    return this.#parts.logs.lastSequence;
  }

  /** Whether the next log is being prepared in the background. */
  get isPreparing(): boolean {
    return this.#parts.logs.isPreparing;
  }

  /** Whether the next write to the log includes its seal. */
  isDue(log: LogWriter): boolean {
    const { logs } = this.#parts;
    const isLong = log.lengthBytes >= logs.rotateAtBytes;
    return (this.requests.areWanted || isLong) && logs.canRotate;
  }

  /**
   * The log to write to, or why there is none. A log whose version has no deletes of intervals is
   * closed before one is written.
   */
  *writable(isForIntervals: boolean): Flow<LogWriter | StoreError> {
    const { logs, writer } = this.#parts;
    try {
      const log = yield* logs.writable();
      if (!isForIntervals || log.mayHoldIntervals) return log;
      const refusal = yield* logs.waitForNext();
      if (refusal !== undefined) return refusal;
      const error = yield* writer.write(log, { seal: true });
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
  *endFullLog(): Flow<boolean> {
    const { logs, writer } = this.#parts;
    const log = logs.live;
    if (log === undefined || log.lengthBytes === 0) return false;
    if ((yield* logs.waitForNext()) !== undefined) return false;
    if (log.unsyncedBytes > 0 && (yield* writer.syncFenced()) !== undefined) return false;
    log.endWithoutSeal();
    yield* this.#replaceLog();
    return true;
  }

  /** After a group was written: replaces the log if it has ended, else reserves space in it. */
  *afterGroup(): Flow<void> {
    const { logs, sync, space } = this.#parts;
    const log = logs.live;
    sync.noteWrite();
    if (log?.isEnded === true) yield* this.#replaceLog();
    else if (log !== undefined && log.lengthBytes > 0) {
      log.reserveAhead(space.reserveLimit(log.fileBytes, logs.rotateAtBytes));
      logs.prepareNext();
    }
    space.written(log?.fileBytes ?? 0);
  }

  /** Writes only the seal and rotates, unless the write of a group is coming. */
  *rotateIdle(isComing: () => boolean): Flow<void> {
    const { logs, writer } = this.#parts;
    const { refusal } = writer;
    if (refusal !== undefined) {
      this.requests.reject(refusal);
      return;
    }
    const log = logs.live;
    if (log === undefined || log.lengthBytes === 0) {
      this.requests.finish();
      return;
    }
    const unprepared = yield* logs.waitForNext();
    if (unprepared === undefined && isComing()) return;
    const error = unprepared ?? (yield* writer.write(log, { seal: true }));
    if (error === undefined) yield* this.#replaceLog();
    else this.requests.reject(error);
  }

  /** Seals the live log for a close. Without space for the seal, it ends after its last group. */
  *seal(): Flow<void> {
    const { logs, writer } = this.#parts;
    const log = logs.live;
    if (log === undefined || log.lengthBytes === 0 || writer.refusal !== undefined) return;
    yield* writer.write(log, { seal: true });
  }

  *#replaceLog(): Flow<void> {
    const { logs, observer, onEnded } = this.#parts;
    onEnded();
    const ended = present(logs.live, 'only a live log is ended');
    try {
      yield* observer.rotate(ended, () => logs.replaceLive());
    } catch (error) {
      this.requests.reject(asRefusal(error));
      return;
    }
    this.requests.finish();
  }
}

/** Returns an error for the caller. Throws any other error, which is a bug. */
function asRefusal(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  throw error;
}
