/** Runs tasks one after another, in the order of the requests. */
export class OneAtATime {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work);
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  /** Resolves when all that was asked for is done, or has failed. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
