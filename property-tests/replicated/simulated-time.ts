/** Simulated time: timers fire only when the test advances it. */
export class SimulatedTime {
  #nowMs = 0;
  #timers: { readonly atMs: number; readonly ring: () => void }[] = [];

  readonly timer = (delayMs: number, ring: () => void): (() => void) => {
    const timer = { atMs: this.#nowMs + delayMs, ring };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  };

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Lets time pass from timer to timer until `work` is over. Throws if no timer is left. */
  async passUntil(work: Promise<unknown>): Promise<void> {
    let isOver = false;
    const settled = work.finally(() => {
      isOver = true;
    });
    settled.catch(() => undefined);
    for (;;) {
      await rest(2);
      if (isOver) break;
      const nextMs = Math.min(...this.#timers.map(({ atMs }) => atMs));
      if (nextMs === Infinity) throw new Error('no timer is left, and the work is not over');
      await this.pass(Math.max(0, nextMs - this.#nowMs));
    }
    await settled;
  }

  /** Fires the timers due in the next `ms`, in order, and lets the work that follows run. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      await rest();
      const due = this.#timers
        .filter(({ atMs }) => atMs <= endMs)
        .sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((one) => one !== due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.ring();
    }
    this.#nowMs = endMs;
  }
}

/** Rounds of the event loop after which work without external waits has finished. */
const ROUNDS = 12;

export async function rest(rounds: number = ROUNDS): Promise<void> {
  for (let round = 0; round < rounds; round++) await new Promise((go) => setImmediate(go));
}
