import { performance } from 'node:perf_hooks';
import process from 'node:process';
import * as timers from 'node:timers';

/*
 * The clocks and timers of the machine, as they were when this module was loaded. A test runner that puts fake ones in
 * the place of the globals (vitest, Jest, sinon) stops its own clock, not ours: a commit waits for a turn of the event
 * loop, and no test advances that.
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

/** Milliseconds by a clock that only goes forward. */
export function monotonicMs(): number {
  return now();
}

/** Milliseconds since 1970, by the clock of the machine. */
export const wallMs: () => number = RealDate.now.bind(RealDate);

/** A turn of the event loop, so that signals and other work are heard. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
