/** The timers of one store. They ring when a program says so. */
export class Clock {
  readonly #timers: Set<() => void> = new Set();

  /** Returns what stops it. */
  start(ring: () => void): () => void {
    const timer = () => ring();
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** All that runs rings. */
  ring(): void {
    const timers = [...this.#timers];
    this.#timers.clear();
    for (const timer of timers) timer();
  }
}
