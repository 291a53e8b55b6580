import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const KIB = 1024;

/** @type {(name: string) => number} */
function statusBytes(name) {
  const text = readFileSync('/proc/self/status', 'utf8');
  return KIB * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]);
}

/** Collects garbage until no more memory is freed. */
export async function settleMemory() {
  for (let i = 0; i < 4; i++) {
    globalThis.gc?.();
    await sleep(50);
  }
}

/** @returns {{ rss: number, heap: number, arrayBuffers: number }} In bytes. */
export function memoryNow() {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { rss: statusBytes('VmRSS'), heap: heapUsed, arrayBuffers };
}

/** Forgets the peak of the resident set so far. */
export function resetPeak() {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    // Then the peak counts from the start of the process.
  }
}

/** Largest resident set since `resetPeak`, in bytes. @type {() => number} */
export const peakBytes = () => statusBytes('VmHWM');
