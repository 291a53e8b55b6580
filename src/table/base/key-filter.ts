import { hashKey } from '../../base/key-hash.ts';

const KEYS_PER_WORD = 4;

/**
 * A Bloom filter within one word: each key sets three bits. With one memory access it rejects
 * nearly all keys that were not added.
 */
export class KeyFilter {
  readonly #words: Uint32Array;
  readonly #mask: number;

  /** Uses one to two bytes for each of `keyCount` keys. */
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

  /** False only if the key was not added. */
  mayHold(low: number, high: number): boolean {
    const hash = hashKey(low, high);
    const bits = bitsOf(hash);
    return (this.#words[hash & this.#mask]! & bits) === bits;
  }
}

/** Uses the highest bits of the hash, because the lowest select the word. */
function bitsOf(hash: number): number {
  return (1 << (hash >>> 27)) | (1 << ((hash >>> 22) & 31)) | (1 << ((hash >>> 17) & 31));
}
