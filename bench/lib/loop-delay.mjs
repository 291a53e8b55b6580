import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

const TIMER_MS = 1;
const SETTLE_MS = 5;

/**
 * The delay of the event loop beyond the period of the measuring timer.
 * @typedef {{ delayP50: number, delayP99: number, delayMax: number }} LoopDelay In milliseconds.
 */

/**
 * Starts to measure the event loop's delay. The returned function ends it.
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
  // A delay counts from the timer's first call and shows at its next one.
  await sleep(SETTLE_MS);
  await job();
  await sleep(SETTLE_MS);
  return delay().delayMax;
}
