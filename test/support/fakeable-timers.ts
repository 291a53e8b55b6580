import type * as timers from '../../src/base/timers.ts';

/**
 * For `vi.mock('../../src/base/timers.ts', …)`: the timers of the store are then looked up at call
 * time, so that those of vitest take their place.
 */
export function fakeable(real: typeof timers): Record<string, unknown> {
  return {
    ...real,
    setTimeout: (ring: () => void, delayMs: number) => globalThis.setTimeout(ring, delayMs),
    clearTimeout: (timer: NodeJS.Timeout) => globalThis.clearTimeout(timer),
  };
}
