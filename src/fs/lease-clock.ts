import { uptime } from 'node:os';

/** A moment on both clocks, in milliseconds. */
export interface LeaseMoment {
  readonly monotonicMs: number;
  readonly uptimeMs: number;
}

export type LeaseClock = () => LeaseMoment;

/**
 * Neither clock can be set. The monotonic one stands still while the machine sleeps, when other
 * hosts go on; the uptime goes on too, but in coarse steps.
 */
export const systemLeaseClock: LeaseClock = () => ({
  monotonicMs: performance.now(),
  uptimeMs: uptime() * 1000,
});

/** Milliseconds between two moments, time asleep included. */
export function elapsedMs(since: LeaseMoment, until: LeaseMoment): number {
  return Math.max(until.monotonicMs - since.monotonicMs, until.uptimeMs - since.uptimeMs);
}
