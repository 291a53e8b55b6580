import { onAbort } from '../../base/abort.ts';
import { AbortedError } from '../../base/errors.ts';
import { clearTimeout, setTimeout } from '../../base/timers.ts';
import { LogUnavailableError } from '../log/log-errors.ts';

/** The timers of a replica. A simulation replaces them. */
export interface ReplicaClock {
  /** Calls `ring` once after `delayMs`. Returns a function that cancels it. */
  readonly timer: (delayMs: number, ring: () => void) => () => void;
  /** Resolves after `delayMs`; rejects with the signal's reason. */
  readonly sleep: (delayMs: number, signal: AbortSignal) => Promise<void>;
}

/** A clock on top of `timer`. */
export function clockOf(timer: ReplicaClock['timer']): ReplicaClock {
  const sleep = (delayMs: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      let stopListening = (): void => undefined;
      const stop = timer(delayMs, () => {
        stopListening();
        resolve();
      });
      const abort = (): void => {
        stopListening();
        stop();
        reject(signal.reason as Error);
      };
      if (signal.aborted) abort();
      else stopListening = onAbort(signal, abort);
    });
  return { timer, sleep };
}

export const MACHINE_CLOCK: ReplicaClock = clockOf((delayMs, ring) => {
  const timer = setTimeout(ring, delayMs);
  return () => clearTimeout(timer);
});

/**
 * Runs `work` with a signal that is aborted with the caller's, or after `limitMs`.
 * @throws LogUnavailableError after `limitMs`; the errors of `work`
 */
export async function withinTime<T>(
  clock: ReplicaClock,
  limitMs: number,
  signal: AbortSignal | undefined,
  work: (ended: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const stop = clock.timer(limitMs, () => late.abort());
  const ended = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
  try {
    return await work(ended);
  } catch (error) {
    if (!late.signal.aborted || !(error instanceof AbortedError)) throw error;
    throw new LogUnavailableError(`the shared log has not answered for ${limitMs} ms`);
  } finally {
    stop();
  }
}
