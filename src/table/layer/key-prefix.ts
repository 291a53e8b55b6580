import { joinedHalves, splitU64, u64Halves } from '../../base/u64.ts';

const KEY_BITS = 64;

/**
 * Keys whose highest `bits` bits are `prefix`, and the shorter keys that stand for them: the same
 * without these bits. Of 0 bits it is all keys, each of which stands for itself.
 */
export class KeyPrefix {
  readonly prefix: bigint;
  readonly bits: number;
  /** The lowest full key, and the highest one. */
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
   * Leaves the halves of the full key of `key` in `u64Halves`. `name` is the argument's name in
   * errors.
   * @throws TypeError or RangeError where it is no u64, RangeError where it has too many bits
   */
  split(key: bigint | number, name = 'key'): void {
    splitU64(key, name);
    this.#extend(key, name);
  }

  /** As {@link split}, of the key whose halves are `low` and `high`. */
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

  /** The full key that `key` stands for. Throws like {@link split}. */
  toFull(key: bigint | number, name = 'key'): bigint {
    this.split(key, name);
    return joinedHalves();
  }

  /** The short key of `full`, which has the prefix. */
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

/** All keys, each of which stands for itself. */
export const ALL_KEYS: KeyPrefix = new KeyPrefix(0n, 0);
