import { performance } from 'node:perf_hooks';
import process from 'node:process';
import * as timers from 'node:timers';

/*
 * The real clocks and timers, captured when this module is loaded. Test runners that replace the
 * globals by fakes (vitest, Jest, sinon) would stop the store, because a commit waits for a turn of
 * the event loop.
 */
export const setImmediate: typeof timers.setImmediate = timers.setImmediate;
export const setTimeout: typeof timers.setTimeout = timers.setTimeout;
export const clearTimeout: typeof timers.clearTimeout = timers.clearTimeout;
export const setInterval: typeof timers.setInterval = timers.setInterval;
export const clearInterval: typeof timers.clearInterval = timers.clearInterval;
export const queueMicrotask: typeof globalThis.queueMicrotask = globalThis.queueMicrotask;
export const nextTick: typeof process.nextTick = process.nextTick.bind(process);

const now = performance.now.bind(performance);
const RealDate = Date;

/** Milliseconds of a monotonic clock. */
export function monotonicMs(): number {
  return now();
}

/** Milliseconds since 1970 of the system clock. */
export const wallMs: () => number = RealDate.now.bind(RealDate);

/** Resolves after a turn of the event loop, in which signals and other work are handled. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
