/**
 * Reuses an array between consecutive users. Allocating memory costs more than filling it. The
 * reference is weak, because there may be no further user.
 */
export class SpareWords {
  #spare: WeakRef<Uint32Array> | undefined;

  /** Returns at least `count` words with undefined content. */
  take(count: number): Uint32Array {
    const spare = this.#spare?.deref();
    this.#spare = undefined;
    return spare !== undefined && spare.length >= count ? spare : new Uint32Array(count);
  }

  /** Returns an array for reuse. The caller must not use it afterwards. */
  give(words: Uint32Array): void {
    this.#spare = new WeakRef(words);
  }
}
