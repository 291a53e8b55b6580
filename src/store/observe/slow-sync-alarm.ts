import { monotonicMs } from '../../base/timers.ts';
import type { Announce } from './store-events.ts';

/** Where nobody listens, a disk that is slow for hours fills no log. */
const WARNING_INTERVAL_MS = 60_000;

export interface SlowSyncAlarmParts {
  readonly announce: Announce;
  readonly directory: string;
  /** Of the log being written. */
  readonly livePath: () => string | undefined;
}

/**
 * Says that a sync took too long: to the listeners of `slowSync`, or else as a warning of the
 * process.
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
      detail: "Listen to the event 'slowSync' of the store to be told of each instead.",
    });
  }
}
