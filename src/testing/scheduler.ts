import { Random } from './engine/random.ts';

/** Decides when a started call may end. Calls start at once, in call order. */
export interface CallScheduler {
  /** Resolves when the call may end. `label` identifies the call in traces. */
  turn(label: string): Promise<void>;
}

/** Every call ends one microtask after it started. */
export const IMMEDIATE: CallScheduler = { turn: () => Promise.resolve() };

const DEFAULT_PATIENCE = 50;

/**
 * Ends one pending call at a time, selected by a seed, so that concurrent activities interleave in
 * many repeatable ways. Uses no timer: before each selection, it waits for one round of
 * `process.nextTick` and `patience` microtasks, in which other activities can make calls.
 */
export class SeededScheduler implements CallScheduler {
  /** Labels of the calls in order of their end. */
  readonly ended: string[] = [];
  readonly #random: Random;
  readonly #patience: number;
  readonly #pending: { readonly label: string; readonly release: () => void }[] = [];
  #releasing = false;

  constructor(seed: number, patience: number = DEFAULT_PATIENCE) {
    this.#random = new Random(seed);
    this.#patience = patience;
  }

  turn(label: string): Promise<void> {
    return new Promise((release) => {
      this.#pending.push({ label, release });
      if (this.#releasing) return;
      this.#releasing = true;
      void this.#releaseAll();
    });
  }

  async #releaseAll(): Promise<void> {
    while (this.#pending.length > 0) {
      // Wait for one round of the `process.nextTick` queue, which does not run while microtasks
      // keep coming.
      await new Promise<void>((go) => process.nextTick(go));
      for (let hop = 0; hop < this.#patience; hop++) await Promise.resolve();
      const [next] = this.#pending.splice(this.#random.below(this.#pending.length), 1);
      if (next === undefined) continue;
      this.ended.push(next.label);
      next.release();
    }
    this.#releasing = false;
  }
}
