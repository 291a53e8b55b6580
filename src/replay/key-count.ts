import { settleNarrow, settleWide } from '../table/chunk/column-search.ts';
import type { KeyColumns } from '../table/chunk/key-columns.ts';
import { PLACE_WORDS } from '../table/replayed/key-order.ts';

/** Number of records that are compared one by one before the next key is searched for. */
const NEAR_STEPS = 32;

/**
 * Counts how many of some ascending keys a chunk holds, by merging both. Only the first key, and
 * keys far behind the previous one, are searched for.
 */
export class KeyCount {
  readonly #chunk: KeyColumns;
  /** The last key of the chunk minus the first one. */
  readonly #spanLow: number;
  readonly #spanHigh: number;
  /** Mean number of records per key of the span. */
  readonly #density: number;

  constructor(chunk: KeyColumns) {
    const { recordCount, firstLow, firstHigh, lastLow, lastHigh } = chunk;
    this.#chunk = chunk;
    this.#spanLow = (lastLow - firstLow) >>> 0;
    this.#spanHigh = lastHigh - firstHigh - (lastLow < firstLow ? 1 : 0);
    const span = this.#spanHigh * 0x1_0000_0000 + this.#spanLow;
    this.#density = span === 0 ? 0 : (recordCount - 1) / span;
  }

  countIn(places: Uint32Array): number {
    const { firstLow, firstHigh } = this.#chunk;
    for (let at = 0; at < places.length; at += PLACE_WORDS) {
      const low = places[at]!;
      const offsetHigh = places[at + 1]! - firstHigh - (low < firstLow ? 1 : 0);
      if (offsetHigh < 0) continue;
      const index = this.#search(low, offsetHigh);
      if (index < 0) return 0;
      const others = places.subarray(at);
      return this.#chunk.highAt < 0
        ? this.#countNarrow(others, index)
        : this.#countWide(others, index);
    }
    return 0;
  }

  /** Index of the first record whose key is not below this one, or -1 if there is none. */
  #search(low: number, offsetHigh: number): number {
    const { words, recordCount, firstLow, lowAt, highAt } = this.#chunk;
    const offsetLow = (low - firstLow) >>> 0;
    if (this.#isBehind(offsetLow, offsetHigh)) return -1;
    const place = (offsetHigh * 0x1_0000_0000 + offsetLow) * this.#density;
    const guess = Math.min(place, recordCount - 1) | 0;
    if (highAt < 0) return settleNarrow(words, lowAt, 1, recordCount, guess, offsetLow);
    return settleWide(words, lowAt, highAt, 1, recordCount, guess, offsetLow, offsetHigh);
  }

  #isBehind(offsetLow: number, offsetHigh: number): boolean {
    const spanHigh = this.#spanHigh;
    return offsetHigh > spanHigh || (offsetHigh === spanHigh && offsetLow > this.#spanLow);
  }

  /** No key is below the chunk. `index`: that of the first record not below the first key. */
  #countNarrow(places: Uint32Array, index: number): number {
    const { words, recordCount, firstLow, firstHigh, lowAt } = this.#chunk;
    const span = this.#spanLow;
    let count = 0;
    for (let at = 0; at < places.length; at += PLACE_WORDS) {
      const low = places[at]!;
      const offset = (low - firstLow) >>> 0;
      const isFar = places[at + 1]! !== firstHigh + (low < firstLow ? 1 : 0);
      if (isFar || offset > span) break;
      const near = index + NEAR_STEPS;
      while (index < near && words[lowAt + index]! < offset) index++;
      if (index === near) index = settleNarrow(words, lowAt, 1, recordCount, index, offset);
      if (words[lowAt + index] === offset) count++;
    }
    return count;
  }

  /** As {@link #countNarrow}. */
  #countWide(places: Uint32Array, index: number): number {
    const { words, recordCount, firstLow, firstHigh, lowAt, highAt } = this.#chunk;
    let count = 0;
    for (let at = 0; at < places.length; at += PLACE_WORDS) {
      const low = places[at]!;
      const offsetHigh = places[at + 1]! - firstHigh - (low < firstLow ? 1 : 0);
      const offsetLow = (low - firstLow) >>> 0;
      if (this.#isBehind(offsetLow, offsetHigh)) break;
      const near = index + NEAR_STEPS;
      let high = words[highAt + index]!;
      while (
        index < near &&
        (high < offsetHigh || (high === offsetHigh && words[lowAt + index]! < offsetLow))
      ) {
        high = words[highAt + ++index]!;
      }
      if (index === near) {
        index = settleWide(words, lowAt, highAt, 1, recordCount, index, offsetLow, offsetHigh);
        high = words[highAt + index]!;
      }
      if (high === offsetHigh && words[lowAt + index] === offsetLow) count++;
    }
    return count;
  }
}
