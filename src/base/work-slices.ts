import { waited, type Flow } from './flow.ts';
import type { Steps } from './steps.ts';
import { monotonicMs } from './timers.ts';

/** How long work runs on the event loop before other work of the process gets a turn. */
export const SLICE_MS = 1;

/** How work on the event loop is divided. Undefined if the caller cannot yield. */
export type Pacing =
  | {
      /** Yields to other work of the process. */
      readonly pause: () => Promise<void>;
      /** 0: a pause at each check, so that simulations do not depend on the clock. */
      readonly sliceMs: number;
    }
  | undefined;

/**
 * Divides one long piece of work into slices of bounded time. Slices of a number of rows would not
 * be bounded: a row takes 20 times as long before V8 has compiled the code.
 */
export class WorkSlices {
  readonly #pacing: Pacing;
  #endMs: number;

  /** Begins the first slice. */
  constructor(pacing: Pacing) {
    this.#pacing = pacing;
    this.#endMs = pacing === undefined ? Infinity : monotonicMs() + pacing.sliceMs;
  }

  /** Yields if the slice is over. To be called every {@link CHECKED_ROWS} rows, or more often. */
  *rest(): Flow<void> {
    const pausing = this.pauseIfDue();
    if (pausing !== undefined) yield* waited(pausing);
  }

  /** Runs all steps, with a `rest` after each. */
  *finish<T>(steps: Steps<T>): Flow<T> {
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      yield* this.rest();
    }
  }

  /** Like `rest`, for asynchronous functions. Undefined: the slice is not over. */
  pauseIfDue(): Promise<void> | undefined {
    const pacing = this.#pacing;
    if (pacing === undefined || monotonicMs() < this.#endMs) return undefined;
    return this.#pause(pacing);
  }

  async #pause({ pause, sliceMs }: Exclude<Pacing, undefined>): Promise<void> {
    await pause();
    this.#endMs = monotonicMs() + sliceMs;
  }
}

/** Rows between two checks: tens of microseconds, or a millisecond before V8 has compiled. */
export const CHECKED_ROWS = 64;
