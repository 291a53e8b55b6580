import { joinU64 } from '../../base/u64.ts';

/** Update index, offset of its row, value asked for as halves: 0 for no record. */
const WORDS = 4;
const FIRST_CAPACITY = 4;

/**
 * Conditions of one batch, in the order of its updates, 16 bytes each. What `lend` has given away
 * stays as it is: the list only grows.
 */
export class ConditionList {
  #words: Uint32Array = new Uint32Array(FIRST_CAPACITY * WORDS);
  #count = 0;

  add(index: number, rowOffset: number, valueLow: number, valueHigh: number): void {
    const at = this.#count * WORDS;
    if (at === this.#words.length) {
      const words = new Uint32Array(2 * at);
      words.set(this.#words);
      this.#words = words;
    }
    this.#words[at] = index;
    this.#words[at + 1] = rowOffset;
    this.#words[at + 2] = valueLow;
    this.#words[at + 3] = valueHigh;
    this.#count++;
  }

  /** The conditions so far. */
  lend(): LentConditions {
    return new LentConditions(this.#words, this.#count);
  }
}

/** Conditions that no longer change. */
export class LentConditions {
  readonly count: number;
  readonly #words: Uint32Array;

  constructor(words: Uint32Array, count: number) {
    this.#words = words;
    this.count = count;
  }

  /** Index of the update that carries condition `at`. */
  indexAt(at: number): number {
    return this.#words[at * WORDS]!;
  }

  /** Where the row of that update begins; the row begins with the key. */
  rowOffsetAt(at: number): number {
    return this.#words[at * WORDS + 1]!;
  }

  /** The value that the key must have; 0: no record. */
  expectedAt(at: number): bigint {
    return joinU64(this.#words[at * WORDS + 2]!, this.#words[at * WORDS + 3]!);
  }
}
