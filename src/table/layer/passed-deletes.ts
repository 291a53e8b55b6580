/** Reads that pass over fewer deletes at once are not counted: they take less than about 5 ms. */
export const LONG_PASS: number = 16 * 1024;

/**
 * The deletes that long steps of reads went over. Only a merge removes deletes, so each read of the
 * same range goes over them again, and the count tells how much time reads have lost.
 */
export class PassedDeletes {
  #count = 0;

  get count(): number {
    return this.#count;
  }

  note(deletes: number): void {
    this.#count += deletes;
  }

  /** A merge has removed what was passed. */
  reset(): void {
    this.#count = 0;
  }
}
