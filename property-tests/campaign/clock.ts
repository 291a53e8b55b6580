/** The timers of one store. They fire when the program says so. */
export class Clock {
  readonly #timers: Set<() => void> = new Set();

  /** Returns a function that stops the timer. */
  start(ring: () => void): () => void {
    const timer = () => ring();
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Fires all running timers. */
  ring(): void {
    const timers = [...this.#timers];
    this.#timers.clear();
    for (const timer of timers) timer();
  }
}
