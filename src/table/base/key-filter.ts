import { hashKey } from '../../base/key-hash.ts';

const KEYS_PER_WORD = 4;

/**
 * Tells, at the price of one read, of nearly all keys that have not been added to it that they have
 * not: each key sets three bits of one word.
 */
export class KeyFilter {
  readonly #words: Uint32Array;
  readonly #mask: number;

  /** One to two bytes for each of `keyCount` keys. */
  constructor(keyCount: number) {
    const wordBits = 32 - Math.clz32(Math.ceil(keyCount / KEYS_PER_WORD) - 1);
    this.#words = new Uint32Array(2 ** wordBits);
    this.#mask = this.#words.length - 1;
  }

  get memoryBytes(): number {
    return this.#words.length * 4;
  }

  add(low: number, high: number): void {
    const hash = hashKey(low, high);
    this.#words[hash & this.#mask]! |= bitsOf(hash);
  }

  /** False only for a key that has not been added. */
  mayHold(low: number, high: number): boolean {
    const hash = hashKey(low, high);
    const bits = bitsOf(hash);
    return (this.#words[hash & this.#mask]! & bits) === bits;
  }
}

/** The highest bits: the lowest choose the word. */
function bitsOf(hash: number): number {
  return (1 << (hash >>> 27)) | (1 << ((hash >>> 22) & 31)) | (1 << ((hash >>> 17) & 31));
}
