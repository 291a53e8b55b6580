import { performance } from 'node:perf_hooks';
import process from 'node:process';
import * as timers from 'node:timers';

/*
 * The real clocks and timers, captured when this module was loaded. Test runners that replace the
 * globals with fakes (vitest, Jest, sinon) must not stop the store: a commit waits for a turn of
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

/** Milliseconds since 1970, of the system clock. */
export const wallMs: () => number = RealDate.now.bind(RealDate);

/** A turn of the event loop, so that signals and other work are heard. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
