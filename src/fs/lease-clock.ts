import { uptime } from 'node:os';
import * as timers from '../base/timers.ts';

/** A moment on both clocks, in milliseconds. */
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

/** Without a sign of sleep, the uptime is read this often. */
const UPTIME_READ_EVERY_MS = 1_000;
/** Difference between wall clock and monotonic clock above which a sleep is assumed. */
const WALL_SLACK_MS = 50;

/**
 * A clock that cannot be set and that does not stand still while the machine sleeps. Reading the
 * uptime opens a file of the kernel's each time, about 5 us, and a lease is asked for twice per
 * commit: so between two readings it is told from the monotonic clock, as long as the wall clock
 * went the same way. A sleep makes the wall clock leap; that somebody also sets it back by that
 * length within the same second is left to the next reading.
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

/** Milliseconds between two moments, time asleep included. */
export function elapsedMs(since: LeaseMoment, until: LeaseMoment): number {
  return Math.max(until.monotonicMs - since.monotonicMs, until.uptimeMs - since.uptimeMs);
}
