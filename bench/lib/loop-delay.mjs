import { monitorEventLoopDelay } from 'node:perf_hooks';

const TIMER_MS = 1;

/**
 * What the event loop was late by, beyond the period of the timer that measures it.
 * @typedef {{ delayP50: number, delayP99: number, delayMax: number }} LoopDelay In milliseconds.
 */

/**
 * Begins to measure the event loop's delay; the function that it returns ends that.
 * @returns {() => LoopDelay}
 */
export function watchLoop() {
  const delays = monitorEventLoopDelay({ resolution: TIMER_MS });
  delays.enable();
  return () => {
    delays.disable();
    const beyondTimer = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - TIMER_MS);
    return {
      delayP50: beyondTimer(delays.percentile(50)),
      delayP99: beyondTimer(delays.percentile(99)),
      delayMax: beyondTimer(delays.max),
    };
  };
}

/**
 * Longest delay of the event loop while `job` runs.
 * @type {(job: () => Promise<void>) => Promise<number>}
 */
export async function longestDelayOf(job) {
  const delay = watchLoop();
  await job();
  return delay().delayMax;
}
