import type { Random } from '../../src/testing/engine/random.ts';
import type { CallScheduler } from '../../src/testing/index.ts';
import { rest } from './simulated-time.ts';

/** One of so many writes is slow. */
const SLOW_EVERY = 6;
/** Enough for several appends to the engine, and for timers. */
const MOST_ROUNDS = 40;

/** A disk on which a write to a log may end after later entries of the shared log have come. */
export function slowLogWrites(random: Random): CallScheduler {
  return {
    turn: async (label) => {
      if (!/^write .*\/log_/.test(label) || random.below(SLOW_EVERY) > 0) return;
      await rest(1 + random.below(MOST_ROUNDS));
    },
  };
}
