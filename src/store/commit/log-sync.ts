import { clearTimeout, monotonicMs, setTimeout } from '../../base/timers.ts';
import { StorePoisonedError, type StoreError } from '../../base/errors.ts';
import type { Flow } from '../../base/flow.ts';
import { SyncError } from '../../log/prepared-log.ts';
import type { Fence } from './fence.ts';
import type { LogKeeper } from './log-keeper.ts';

/**
 * Calls `ring` once after `delayMs`. Does not keep the process alive unless `hold` is `process`,
 * for a timer that a pending call of the caller's waits for. Returns a function that stops the
 * timer.
 */
export type StartTimer = (delayMs: number, ring: () => void, hold?: 'process') => () => void;

export const startTimer: StartTimer = (delayMs, ring, hold) => {
  const timer = setTimeout(ring, delayMs);
  if (hold === undefined) timer.unref();
  return () => clearTimeout(timer);
};

export interface LogSyncParts {
  readonly logs: LogKeeper;
  readonly fence: Fence;
  readonly syncEveryMs: number;
  readonly startTimer: StartTimer;
  /** Called when the time is up: `run` must be called between two writes. */
  readonly onDue: () => void;
  /** Called with the duration of a sync, when what it made durable is acknowledged. */
  readonly onSynced?: (syncMs: number) => void;
}

/**
 * Syncs deferred writes of the live log at the latest `syncEveryMs` after the first unsynced byte.
 * `resting`: everything is synced. `armed`: the timer is running. `due`: it has fired.
 */
export class LogSync {
  readonly #parts: LogSyncParts;
  #state: 'resting' | 'armed' | 'due' | 'stopped' = 'resting';
  #armedAtMs = 0;
  #stopTimer: (() => void) | undefined;

  constructor(parts: LogSyncParts) {
    this.#parts = parts;
  }

  /** Bytes at the end of the live log that are not known to be durable. */
  get unsyncedBytes(): number {
    return this.#parts.logs.unsyncedBytes;
  }

  get isDue(): boolean {
    return this.#state === 'due';
  }

  /** Whether the time is up by the clock, for a loop that starves the timer. */
  get isOverdue(): boolean {
    if (this.#state !== 'armed') return this.isDue;
    return monotonicMs() - this.#armedAtMs >= this.#parts.syncEveryMs;
  }

  /** Notes that a group was written. */
  noteWrite(): void {
    const { logs, syncEveryMs } = this.#parts;
    if (this.#state !== 'resting' || logs.unsyncedBytes === 0) return;
    this.#state = 'armed';
    this.#armedAtMs = monotonicMs();
    this.#stopTimer = this.#parts.startTimer(syncEveryMs, () => {
      if (this.#state !== 'armed') return;
      this.#state = 'due';
      this.#parts.onDue();
    });
  }

  /** Ends the wait for the next sync. Whether it succeeds or not, it is no longer due. */
  begin(): void {
    this.#rest();
  }

  /**
   * Acknowledges what is durable: all of it is visible, and the fence has let it through. Change
   * feeds and followers may have it from now on.
   */
  acknowledge(): void {
    this.#parts.logs.acknowledge();
  }

  /**
   * Syncs the live log, and acknowledges what is then durable. Call it between two writes. A
   * failure poisons the store and is never retried, because it is unknown what it lost. Returns the
   * error for a write that waited for the sync.
   */
  *run(): Flow<StoreError | undefined> {
    const { logs, fence } = this.#parts;
    const { health } = fence;
    this.begin();
    const log = logs.live;
    if (log === undefined || log.unsyncedBytes === 0) return undefined;
    if (health.isPoisoned) return health.poisonedWrite('not-applied');
    try {
      const startMs = monotonicMs();
      yield* log.sync(fence);
      // A file may have been found lost meanwhile.
      if (health.isPoisoned) return health.poisonedWrite('not-applied');
      this.acknowledge();
      this.#parts.onSynced?.(monotonicMs() - startMs);
      return undefined;
    } catch (error) {
      const { path } = log;
      const cause = error instanceof SyncError ? error.cause : error;
      if (cause instanceof StorePoisonedError) {
        health.poisonWith(yield* fence.causeOfLoss(cause));
        return health.poisonedWrite('not-applied');
      }
      const lost = `batches after sequence ${log.syncedSequence} may be lost`;
      const message = `syncing ${path} failed; ${lost}; the content of the file is unknown until the store is reopened`;
      health.poisonWith(new StorePoisonedError(message, { cause, path }));
      return health.poisonedWrite('not-applied');
    }
  }

  #rest(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    if (this.#state !== 'stopped') this.#state = 'resting';
  }

  /** Stops the timer for good. */
  stop(): void {
    this.#rest();
    this.#state = 'stopped';
  }
}
