const SLAB_WORDS: number = 2 ** 18;

/** Allocates zeroed shared memory from large slabs, because there are many short tables. */
export class SharedSlab {
  #slab: Uint32Array = new Uint32Array(0);
  #used = 0;
  /** Upper bound of the words that will still be requested. */
  #leftWords: number;

  constructor(mostWords: number) {
    this.#leftWords = mostWords;
  }

  /** Returns `words` words, which are part of the constructor's bound. */
  take(words: number): Uint32Array {
    if (this.#used + words > this.#slab.length) {
      const length = Math.max(words, Math.min(SLAB_WORDS, this.#leftWords));
      this.#slab = new Uint32Array(new SharedArrayBuffer(4 * length));
      this.#used = 0;
    }
    this.#leftWords -= words;
    const taken = this.#slab.subarray(this.#used, this.#used + words);
    this.#used += words;
    return taken;
  }

  /** Takes the last `words` words back. They must be zero. */
  giveBack(words: number): void {
    this.#used -= words;
  }
}
