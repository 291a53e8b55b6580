/** The steps of one round of upkeep. One that fails does not keep the others from being done. */
export class Round {
  readonly #stop: AbortSignal;
  readonly #failures = new Set<unknown>();
  #count = 0;

  /** `stop`: no further step is begun. */
  constructor(stop: AbortSignal) {
    this.#stop = stop;
  }

  async step(work: () => Promise<unknown>): Promise<void> {
    if (this.#stop.aborted) return;
    try {
      await work();
    } catch (error) {
      this.#failures.add(error);
    }
  }

  /** A step that resolves to a number of volumes. */
  counted(work: () => Promise<number>): Promise<void> {
    return this.step(async () => {
      const count = await work();
      this.#count += count;
    });
  }

  /** The number of volumes. @throws the first error; the others are reported. */
  end(onError: (error: unknown) => void): number {
    const [first, ...others] = this.#failures;
    for (const error of others) onError(error);
    if (this.#failures.size > 0) throw first;
    return this.#count;
  }
}
