import { STEP_ENTRIES } from './row-piece.ts';

/** Measures the length of a step, in entries. */
export class StepCount {
  #entries = 0;

  /** Counts processed entries. Returns whether it is time to yield. */
  isDue(entries: number): boolean {
    this.#entries += entries;
    if (this.#entries < STEP_ENTRIES) return false;
    this.#entries = 0;
    return true;
  }
}
