/**
 * Memory of whoever is done with it, for whoever comes next: fresh memory costs more than what is
 * written into it. Held weakly, since there may be no next one.
 */
export class SpareWords {
  #spare: WeakRef<Uint32Array> | undefined;

  /** At least so many words, of any content. */
  take(count: number): Uint32Array {
    const spare = this.#spare?.deref();
    this.#spare = undefined;
    return spare !== undefined && spare.length >= count ? spare : new Uint32Array(count);
  }

  /** Nobody uses them any more. */
  give(words: Uint32Array): void {
    this.#spare = new WeakRef(words);
  }
}
