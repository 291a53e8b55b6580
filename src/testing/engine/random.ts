/** A small deterministic generator (xorshift, 32 bits of state). Equal seeds give equal numbers. */
export class Random {
  #state: number;

  constructor(seed: number) {
    // The multiplication spreads neighbouring seeds. A state of 0 would stay 0 forever.
    this.#state = Math.imul(seed ^ 0x5bd1_e995, 0x9e37_79b1) | 0 || 0x2545_f491;
    for (let round = 0; round < 4; round++) this.#step();
  }

  /** A whole number in [0, bound); `bound` is at least 1 and below 2^53. */
  below(bound: number): number {
    const high = this.#step() >>> 0;
    if (bound <= 0x1_0000_0000) return Math.floor((high / 0x1_0000_0000) * bound);
    const low = this.#step() >>> 11;
    return Math.floor(((high * 0x20_0000 + low) / 2 ** 53) * bound);
  }

  #step(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x;
  }
}
