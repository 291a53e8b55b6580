import { monotonicMs } from '../../base/timers.ts';
import type { Announce } from './store-events.ts';

/** Bounds the number of warnings for a disk that is slow for hours. */
const WARNING_INTERVAL_MS = 60_000;

export interface SlowSyncAlarmParts {
  readonly announce: Announce;
  readonly directory: string;
  /** Path of the live log. */
  readonly livePath: () => string | undefined;
}

/**
 * Reports a slow sync to the listeners of `slowSync`. Without listeners, emits a process warning.
 */
export class SlowSyncAlarm {
  readonly #parts: SlowSyncAlarmParts;
  #nextWarningMs = 0;

  constructor(parts: SlowSyncAlarmParts) {
    this.#parts = parts;
  }

  ring(syncMs: number): void {
    const path = this.#parts.livePath() ?? this.#parts.directory;
    this.#parts.announce('slowSync', [{ syncMs, path }], () => this.#warn(syncMs, path));
  }

  #warn(syncMs: number, path: string): void {
    const nowMs = monotonicMs();
    if (nowMs < this.#nextWarningMs) return;
    this.#nextWarningMs = nowMs + WARNING_INTERVAL_MS;
    process.emitWarning(`syncing ${path} took ${Math.round(syncMs)} ms`, {
      type: 'LodestoreWarning',
      code: 'LODESTORE_SLOW_SYNC',
      detail:
        "Listen to the event 'slowSync' of the store to get each of them instead of this warning.",
    });
  }
}
