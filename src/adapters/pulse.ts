import { onAbort } from '../base/abort.ts';
import { clearTimeout, setTimeout } from '../base/timers.ts';

/**
 * Resolves after `ms` milliseconds, or when `signal` is aborted. Does not keep the process alive.
 */
export function pulse(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(end, ms).unref();
    const remove = onAbort(signal, end);
    function end(): void {
      clearTimeout(timer);
      remove();
      resolve();
    }
  });
}
