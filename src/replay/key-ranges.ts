/**
 * Keys that divide the key space into ranges. Range 0 is below the first key; range `i` starts at
 * key `i - 1`.
 */
export interface KeySplitters {
  /** Ascending. */
  readonly low: Uint32Array;
  readonly high: Uint32Array;
}

/** Buckets per splitter. If keys are spread evenly, few buckets have more than one splitter. */
const BUCKETS_PER_SPLITTER = 8;

/** Finds the range of a key. */
export class KeyRanges {
  readonly count: number;
  readonly #low: Uint32Array;
  readonly #high: Uint32Array;
  readonly #lowest: number;
  /** Buckets per key of the span of the splitters. */
  readonly #scale: number;
  /**
   * For each bucket, the number of splitters in the buckets before it. One more element has the
   * total.
   */
  readonly #starts: Uint32Array;

  constructor({ low, high }: KeySplitters) {
    const splitterCount = low.length;
    this.count = splitterCount + 1;
    this.#low = low;
    this.#high = high;
    const bucketCount = BUCKETS_PER_SPLITTER * splitterCount;
    this.#lowest = splitterCount === 0 ? 0 : approximate(low[0]!, high[0]!);
    const last = splitterCount - 1;
    const span = splitterCount === 0 ? 0 : approximate(low[last]!, high[last]!) - this.#lowest;
    this.#scale = span === 0 ? 0 : (bucketCount - 1) / span;
    this.#starts = new Uint32Array(bucketCount + 1);
    for (let i = 0; i < splitterCount; i++) this.#starts[this.#bucketOf(low[i]!, high[i]!) + 1]!++;
    for (let i = 1; i <= bucketCount; i++) this.#starts[i]! += this.#starts[i - 1]!;
  }

  rangeOf(low: number, high: number): number {
    const bucket = this.#bucketOf(low, high);
    // Only the splitters in the key's own bucket must be compared with it.
    let below = this.#starts[bucket]!;
    let above = this.#starts[bucket + 1]!;
    while (below < above) {
      const middle = (below + above) >>> 1;
      const splitter = this.#high[middle]!;
      if (splitter < high || (splitter === high && this.#low[middle]! <= low)) below = middle + 1;
      else above = middle;
    }
    return below;
  }

  /** Monotonic in the key. Keys that differ only in bits lost by rounding have the same bucket. */
  #bucketOf(low: number, high: number): number {
    const place = (approximate(low, high) - this.#lowest) * this.#scale;
    return Math.max(0, Math.min(place, this.#starts.length - 2)) | 0;
  }
}

function approximate(low: number, high: number): number {
  return high * 0x1_0000_0000 + low;
}
