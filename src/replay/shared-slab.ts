const SLAB_WORDS: number = 2 ** 18;

/** Hands out shared memory, full of zeros, from large pieces: there are many short tables. */
export class SharedSlab {
  #slab: Uint32Array = new Uint32Array(0);
  #used = 0;
  /** Words that are still to be asked for, at most. */
  #leftWords: number;

  constructor(mostWords: number) {
    this.#leftWords = mostWords;
  }

  /** `mostWords` of those that were announced are asked for now, and `words` are needed. */
  take(words: number, mostWords: number): Uint32Array {
    if (this.#used + words > this.#slab.length) {
      const length = Math.max(words, Math.min(SLAB_WORDS, this.#leftWords));
      this.#slab = new Uint32Array(new SharedArrayBuffer(4 * length));
      this.#used = 0;
    }
    this.#leftWords -= mostWords;
    const taken = this.#slab.subarray(this.#used, this.#used + words);
    this.#used += words;
    return taken;
  }
}
