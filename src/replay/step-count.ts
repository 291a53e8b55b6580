import { STEP_ENTRIES } from './row-piece.ts';

/** Tells when a step has been long enough. */
export class StepCount {
  #entries = 0;

  /** Counts entries that have been looked at. True where it is time to give way. */
  isDue(entries: number): boolean {
    this.#entries += entries;
    if (this.#entries < STEP_ENTRIES) return false;
    this.#entries = 0;
    return true;
  }
}
