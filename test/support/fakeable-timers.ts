import type * as timers from '../../src/base/timers.ts';

/**
 * For `vi.mock('../../src/base/timers.ts', …)`: looks the store's timers up at call time, so that
 * vitest's fake timers replace them.
 */
export function fakeable(real: typeof timers): Record<string, unknown> {
  return {
    ...real,
    setTimeout: (ring: () => void, delayMs: number) => globalThis.setTimeout(ring, delayMs),
    clearTimeout: (timer: NodeJS.Timeout) => globalThis.clearTimeout(timer),
  };
}
