import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { mainThreadCpuMs } from './machine.mjs';

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
 * What held up the event loop while a job ran, in milliseconds. `delayMs`: the longest delay.
 * `cpuMs`: the most processor time of the main thread between two calls of a timer of 1 ms. It has
 * all of the longest turn, and leaves out what other threads and processes took of the core.
 * @typedef {{ delayMs: number, cpuMs: number }} LongestTurn
 */

/** @type {(job: () => Promise<unknown>) => Promise<LongestTurn>} */
export async function longestTurnOf(job) {
  const delay = watchLoop();
  const cpu = watchCpu();
  // A delay counts from the timer's first call and shows at its next one.
  await sleep(SETTLE_MS);
  await job();
  await sleep(SETTLE_MS);
  return { delayMs: delay().delayMax, cpuMs: cpu() };
}

function watchCpu() {
  let before = mainThreadCpuMs() ?? 0;
  let longest = 0;
  const timer = setInterval(() => {
    const now = mainThreadCpuMs() ?? 0;
    longest = Math.max(longest, now - before);
    before = now;
  }, TIMER_MS);
  return () => {
    clearInterval(timer);
    return longest;
  };
}
