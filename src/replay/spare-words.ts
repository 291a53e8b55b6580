/** As many jobs run at a time on one thread. */
const MOST_SPARES = 2;

/**
 * Reuses arrays between users. Allocating memory costs more than filling it. The references are
 * weak, because there may be no further user.
 */
export class SpareWords {
  #spares: WeakRef<Uint32Array>[] = [];

  /** Returns at least `count` words with undefined content. */
  take(count: number): Uint32Array {
    for (let i = this.#spares.length - 1; i >= 0; i--) {
      const spare = this.#spares[i]!.deref();
      if (spare === undefined || spare.length < count) continue;
      this.#spares.splice(i, 1);
      return spare;
    }
    return new Uint32Array(count);
  }

  /** Returns an array for reuse. The caller must not use it afterwards. */
  give(words: Uint32Array): void {
    this.#spares.push(new WeakRef(words));
    if (this.#spares.length > MOST_SPARES) this.#spares.shift();
  }
}
