import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

const TIMER_MS = 1;
const SETTLE_MS = 5;

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
  // What is late counts from the timer's first call, and at its next one.
  await sleep(SETTLE_MS);
  await job();
  await sleep(SETTLE_MS);
  return delay().delayMax;
}
