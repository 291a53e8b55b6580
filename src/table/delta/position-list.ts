import { assert } from '../../base/assert.ts';
import { uncountedWords } from '../../base/uncounted-memory.ts';

const SEGMENT_BITS = 12;
const SEGMENT_ENTRIES: number = 2 ** SEGMENT_BITS;
const INDEX_MASK: number = SEGMENT_ENTRIES - 1;

/**
 * A list of u32 that supports append and truncation. It grows by segments, so an append copies
 * nothing.
 */
export class PositionList {
  readonly #segments: Uint32Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get memoryBytes(): number {
    return this.#segments.length * SEGMENT_ENTRIES * 4;
  }

  /** The entry at `index`, which must exist. */
  at(index: number): number {
    return this.#segments[index >>> SEGMENT_BITS]![index & INDEX_MASK]!;
  }

  append(position: number): void {
    const segment = this.#length >>> SEGMENT_BITS;
    if (segment === this.#segments.length) this.#segments.push(uncountedWords(SEGMENT_ENTRIES));
    this.#segments[segment]![this.#length & INDEX_MASK] = position;
    this.#length++;
  }

  /** Removes the entries from `length` on. */
  truncate(length: number): void {
    assert(length <= this.#length, 'a list is cut, not stretched');
    this.#length = length;
  }
}
