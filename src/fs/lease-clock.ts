import { uptime } from 'node:os';
import * as timers from '../base/timers.ts';

/** One moment on both clocks, in milliseconds. */
export interface LeaseMoment {
  readonly monotonicMs: number;
  readonly uptimeMs: number;
}

export type LeaseClock = () => LeaseMoment;

/** The clocks that a lease clock combines, in milliseconds. */
export interface ClockSources {
  /** Monotonic; stops while the machine sleeps. */
  readonly monotonicMs: () => number;
  /** Monotonic; continues while the machine sleeps. Coarse, and slow to read. */
  readonly uptimeMs: () => number;
  /** Continues while the machine sleeps; can be set. */
  readonly wallMs: () => number;
}

/** The interval at which the uptime is read while there is no sign of sleep. */
const UPTIME_READ_EVERY_MS = 1_000;
/** Difference between wall clock and monotonic clock above which a sleep is assumed. */
const WALL_SLACK_MS = 50;

/**
 * A clock that nobody can set and that includes the time asleep. One reading of the uptime opens a
 * kernel file, about 5 us, and each commit checks the lease twice. Between two readings, the time
 * is therefore taken from the monotonic clock, as long as the wall clock advances equally. A sleep
 * makes the wall clock jump. If somebody also sets the wall clock back by the same length within
 * the same second, only the next reading of the uptime finds the sleep.
 */
export function makeLeaseClock(sources: ClockSources): LeaseClock {
  let readMonotonicMs = -Infinity;
  let readUptimeMs = 0;
  let readWallMs = 0;
  return () => {
    const monotonicMs = sources.monotonicMs();
    const wallMs = sources.wallMs();
    const sinceMs = monotonicMs - readMonotonicMs;
    const leapMs = Math.abs(wallMs - readWallMs - sinceMs);
    if (sinceMs >= UPTIME_READ_EVERY_MS || !(leapMs <= WALL_SLACK_MS)) {
      readMonotonicMs = monotonicMs;
      readUptimeMs = sources.uptimeMs();
      readWallMs = wallMs;
      return { monotonicMs, uptimeMs: readUptimeMs };
    }
    return { monotonicMs, uptimeMs: readUptimeMs + sinceMs };
  };
}

export const systemLeaseClock: LeaseClock = makeLeaseClock({
  monotonicMs: timers.monotonicMs,
  uptimeMs: () => uptime() * 1000,
  wallMs: timers.wallMs,
});

/** Milliseconds between two moments, including time asleep. */
export function elapsedMs(since: LeaseMoment, until: LeaseMoment): number {
  return Math.max(until.monotonicMs - since.monotonicMs, until.uptimeMs - since.uptimeMs);
}
