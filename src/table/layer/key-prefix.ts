import { joinedHalves, splitU64, u64Halves } from '../../base/u64.ts';

const KEY_BITS = 64;

/**
 * The keys with a common prefix: the highest `bits` bits are `prefix`. Short keys stand for them:
 * the same keys without these bits. With 0 bits these are all keys, and short and full keys are
 * equal.
 */
export class KeyPrefix {
  readonly prefix: bigint;
  readonly bits: number;
  /** The lowest and the highest full key. */
  readonly first: bigint;
  readonly last: bigint;
  /** The highest short key. */
  readonly highest: bigint;
  readonly #firstLow: number;
  readonly #firstHigh: number;
  /** The bits in which full keys differ. */
  readonly #freeLow: number;
  readonly #freeHigh: number;

  /** `bits` is from 0 to 63, `prefix` below 2^bits. */
  constructor(prefix: bigint, bits: number) {
    this.prefix = prefix;
    this.bits = bits;
    const freeBits = BigInt(KEY_BITS - bits);
    this.highest = (1n << freeBits) - 1n;
    this.first = prefix << freeBits;
    this.last = this.first | this.highest;
    splitU64(this.first, 'prefix');
    this.#firstLow = u64Halves[0]! | 0;
    this.#firstHigh = u64Halves[1]! | 0;
    splitU64(this.highest, 'highest');
    this.#freeLow = u64Halves[0]! | 0;
    this.#freeHigh = u64Halves[1]! | 0;
  }

  /**
   * Writes the halves of the full key of `key` to `u64Halves`. `name` is the argument's name in
   * errors.
   *
   * @throws TypeError or RangeError if it is not a u64, RangeError if it has too many bits
   */
  split(key: bigint | number, name = 'key'): void {
    splitU64(key, name);
    this.#extend(key, name);
  }

  /** Like {@link split}, for a key in halves. */
  splitHalves(low: number, high: number): void {
    u64Halves[0] = low;
    u64Halves[1] = high;
    this.#extend(undefined, 'key');
  }

  #extend(key: bigint | number | undefined, name: string): void {
    const low = u64Halves[0]!;
    const high = u64Halves[1]!;
    if (((low & ~this.#freeLow) | (high & ~this.#freeHigh)) !== 0) {
      const found = key ?? joinedHalves();
      throw new RangeError(
        `${name} must have at most ${KEY_BITS - this.bits} bits, without the keyspace's prefix; ` +
          `it is ${found}`,
      );
    }
    u64Halves[0] = low | this.#firstLow;
    u64Halves[1] = high | this.#firstHigh;
  }

  /** The full key of a short key. Throws like {@link split}. */
  toFull(key: bigint | number, name = 'key'): bigint {
    this.split(key, name);
    return joinedHalves();
  }

  /** The short key of `full`, which must have the prefix. */
  toShort(full: bigint): bigint {
    splitU64(full, 'key');
    u64Halves[0] = u64Halves[0]! & this.#freeLow;
    u64Halves[1] = u64Halves[1]! & this.#freeHigh;
    return joinedHalves();
  }

  /** Whether the full key has the prefix. */
  holds(full: bigint): boolean {
    return full >= this.first && full <= this.last;
  }
}

/** All keys; short and full keys are equal. */
export const ALL_KEYS: KeyPrefix = new KeyPrefix(0n, 0);
