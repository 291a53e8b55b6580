/**
 * Upkeep waits at most so long for those who read a volume, who may take hours. Then it leaves the
 * volume for the next round.
 */
export const READERS_MS = 1_000;

/** Limits work to a number of bytes per second. */
export class Pace {
  readonly #bytesPerSecond: number;
  readonly #pause: (milliseconds: number) => Promise<void>;
  #owedBytes = 0;

  /** 0 or Infinity: unlimited. */
  constructor(bytesPerSecond: number, pause: (milliseconds: number) => Promise<void>) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#pause = pause;
  }

  /** Called after `bytes` of work. Waits until they fit the rate. */
  async spent(bytes: number): Promise<void> {
    if (this.#bytesPerSecond === 0 || this.#bytesPerSecond === Infinity) return;
    this.#owedBytes += bytes;
    const milliseconds = (1000 * this.#owedBytes) / this.#bytesPerSecond;
    // Shorter pauses cost more than they are worth.
    if (milliseconds < 10) return;
    this.#owedBytes = 0;
    await this.#pause(milliseconds);
  }
}
