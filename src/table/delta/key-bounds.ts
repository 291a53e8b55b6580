/** The lowest and the highest key of some rows, in halves. Most keys without a row are outside. */
export class KeyBounds {
  highestLow = 0;
  highestHigh = 0;
  #lowestLow = 0xffff_ffff;
  #lowestHigh = 0xffff_ffff;

  note(low: number, high: number): void {
    if (high > this.highestHigh || (high === this.highestHigh && low > this.highestLow)) {
      this.highestLow = low;
      this.highestHigh = high;
    }
    if (high < this.#lowestHigh || (high === this.#lowestHigh && low < this.#lowestLow)) {
      this.#lowestLow = low;
      this.#lowestHigh = high;
    }
  }

  /** False if the key is outside. */
  mayHold(low: number, high: number): boolean {
    if (high > this.highestHigh || (high === this.highestHigh && low > this.highestLow)) {
      return false;
    }
    return high > this.#lowestHigh || (high === this.#lowestHigh && low >= this.#lowestLow);
  }
}
