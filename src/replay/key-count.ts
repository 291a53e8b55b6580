import { settleNarrow, settleWide } from '../table/chunk/column-search.ts';
import type { KeyColumns } from '../table/chunk/key-columns.ts';
import { PLACE_WORDS } from '../table/replayed/key-order.ts';

/**
 * Counts how many of some ascending keys a chunk holds. Each search starts where the previous key
 * was found.
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
    const { words, recordCount, firstLow, firstHigh, lowAt, highAt } = this.#chunk;
    const spanLow = this.#spanLow;
    const spanHigh = this.#spanHigh;
    let count = 0;
    let index = -1;
    for (let at = 0; at < places.length && index < recordCount; at += PLACE_WORDS) {
      const low = places[at]!;
      const offsetHigh = places[at + 1]! - firstHigh - (low < firstLow ? 1 : 0);
      if (offsetHigh < 0) continue;
      const offsetLow = (low - firstLow) >>> 0;
      if (offsetHigh > spanHigh || (offsetHigh === spanHigh && offsetLow > spanLow)) break;
      if (index < 0) index = this.#guess(offsetLow, offsetHigh);
      if (highAt < 0) {
        index = settleNarrow(words, lowAt, 1, recordCount, index, offsetLow);
        if (words[lowAt + index] === offsetLow) count++;
      } else {
        index = settleWide(words, lowAt, highAt, 1, recordCount, index, offsetLow, offsetHigh);
        if (words[lowAt + index] === offsetLow && words[highAt + index] === offsetHigh) count++;
      }
    }
    return count;
  }

  #guess(offsetLow: number, offsetHigh: number): number {
    const place = (offsetHigh * 0x1_0000_0000 + offsetLow) * this.#density;
    return Math.min(place, this.#chunk.recordCount - 1) | 0;
  }
}
