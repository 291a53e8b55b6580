import { KeyDirectory } from '../chunk/key-directory.ts';
import { settleWide } from '../chunk/column-search.ts';
import { DELETE_BIT, PLACE_WORDS, type KeyOrder } from './key-order.ts';

/** Long enough that the directory stays in the cache. Short ones made a `get` a third slower. */
const SEGMENT_WORDS: number = 16_384 * PLACE_WORDS;

/** Key -> position of its row, by the key order alone: a directory, then interpolation. */
export class RunIndex {
  readonly #segments: Uint32Array[] = [];
  readonly #directory: KeyDirectory;
  /** For each segment, the mean number of rows per key of its span. */
  readonly #densities: Float64Array;

  constructor({ parts }: KeyOrder) {
    for (const part of parts) {
      for (let from = 0; from < part.length; from += SEGMENT_WORDS) {
        this.#segments.push(part.subarray(from, Math.min(from + SEGMENT_WORDS, part.length)));
      }
    }
    this.#directory = new KeyDirectory(this.#segments.map(spanOf));
    this.#densities = Float64Array.from(this.#segments, densityOf);
  }

  /** Without what it shares with the order. */
  get memoryBytes(): number {
    return this.#densities.byteLength;
  }

  /** Position of the row of this key, or -1. */
  find(low: number, high: number): number {
    const segment = this.#directory.locate(low, high);
    if (segment < 0) return -1;
    const places = this.#segments[segment]!;
    const count = (places.length / PLACE_WORDS) | 0;
    const offset = (high - places[1]!) * 0x1_0000_0000 + (low - places[0]!);
    const guess = Math.min(offset * this.#densities[segment]!, count - 1) | 0;
    const at = PLACE_WORDS * settleWide(places, 0, 1, PLACE_WORDS, count, guess, low, high);
    if (at === places.length || places[at] !== low || places[at + 1] !== high) return -1;
    return places[at + 2]! & (DELETE_BIT - 1);
  }
}

function spanOf(places: Uint32Array): {
  firstLow: number;
  firstHigh: number;
  lastLow: number;
  lastHigh: number;
} {
  const last = places.length - PLACE_WORDS;
  return {
    firstLow: places[0]!,
    firstHigh: places[1]!,
    lastLow: places[last]!,
    lastHigh: places[last + 1]!,
  };
}

function densityOf(places: Uint32Array): number {
  const last = places.length - PLACE_WORDS;
  const span = (places[last + 1]! - places[1]!) * 0x1_0000_0000 + (places[last]! - places[0]!);
  return span === 0 ? 0 : last / PLACE_WORDS / span;
}
