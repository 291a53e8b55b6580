import { Random } from '../../src/testing/random.ts';
import type { CallScheduler } from '../../src/testing/index.ts';

/** Rounds of the event loop's own queue before a call is let go: the committer waits for one of them. */
const HOPS = 3;

/**
 * Ends one pending call at a time, picked by a seed, after all that can run without it has run, callbacks of
 * `process.nextTick` among it. No timer: equal seeds give equal runs.
 */
export class TickScheduler implements CallScheduler {
  /** Calls let go so far. */
  ended = 0;
  readonly #random: Random;
  readonly #pending: (() => void)[] = [];
  #state: 'idle' | 'releasing' = 'idle';

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  turn(): Promise<void> {
    return new Promise((release) => {
      this.#pending.push(release);
      if (this.#state === 'releasing') return;
      this.#state = 'releasing';
      void this.#releaseAll();
    });
  }

  async #releaseAll(): Promise<void> {
    while (this.#pending.length > 0) {
      for (let hop = 0; hop < HOPS; hop++) await new Promise<void>((go) => process.nextTick(go));
      const [release] = this.#pending.splice(this.#random.below(this.#pending.length), 1);
      this.ended++;
      release!();
    }
    this.#state = 'idle';
  }
}
