import { assert } from '../../base/assert.ts';
import { compareU64, splitU64, u64Halves } from '../../base/u64.ts';

/** First and last key of a chunk, in halves. */
export interface KeySpan {
  readonly firstLow: number;
  readonly firstHigh: number;
  readonly lastLow: number;
  readonly lastHigh: number;
}

export function toKeySpan(keys: { readonly firstKey: bigint; readonly lastKey: bigint }): KeySpan {
  splitU64(keys.firstKey, 'firstKey');
  const firstLow = u64Halves[0]!;
  const firstHigh = u64Halves[1]!;
  splitU64(keys.lastKey, 'lastKey');
  return { firstLow, firstHigh, lastLow: u64Halves[0]!, lastHigh: u64Halves[1]! };
}

/**
 * First and last keys of a sorted list of chunks, with an index over the top bits of the span of
 * the first keys. There are as many buckets as chunks. Evenly spread keys are found at once, others
 * by binary search within a bucket. It does not reference the chunks, so it does not keep them
 * alive.
 */
export class KeyDirectory {
  readonly count: number;
  readonly firstLow: Uint32Array;
  readonly firstHigh: Uint32Array;
  readonly lastLow: Uint32Array;
  readonly lastHigh: Uint32Array;
  /** The lowest first key, in int32 halves, which stay Smis. */
  readonly #lowestLow: number;
  readonly #lowestHigh: number;
  /** Buckets per key of the span of the first keys: a power of two. */
  readonly #scale: number;
  readonly #lastBucket: number;
  /** Index of the first chunk in this bucket or a later one. One element more than buckets. */
  readonly #starts: Uint32Array;

  constructor(chunks: readonly KeySpan[]) {
    const count = chunks.length;
    this.count = count;
    this.firstLow = new Uint32Array(count);
    this.firstHigh = new Uint32Array(count);
    this.lastLow = new Uint32Array(count);
    this.lastHigh = new Uint32Array(count);
    for (let i = 0; i < count; i++) this.#set(i, chunks[i]!);
    const bucketBits = 32 - Math.clz32(Math.max(count - 1, 0));
    this.#lowestLow = count === 0 ? 0 : this.firstLow[0]! | 0;
    this.#lowestHigh = count === 0 ? 0 : this.firstHigh[0]! | 0;
    this.#scale = count === 0 ? 0 : 2 ** -Math.max(0, this.#spanBits() - bucketBits);
    this.#lastBucket = count === 0 ? 0 : Math.floor(this.#offsetOf(count - 1) * this.#scale);
    this.#starts = this.#buildStarts();
  }

  /** Index of the last chunk whose first key is not above this key, or -1. */
  locate(low: number, high: number): number {
    const lowestLow = this.#lowestLow >>> 0;
    const offsetHigh = high - (this.#lowestHigh >>> 0) - (low < lowestLow ? 1 : 0);
    if (offsetHigh < 0 || this.count === 0) return -1;
    const offset = offsetHigh * 0x1_0000_0000 + ((low - lowestLow) >>> 0);
    // Rounding keeps the order of keys. It can only change a key's bucket.
    const bucket = Math.min(offset * this.#scale, this.#lastBucket) | 0;
    // Invariant: first keys up to `below` are not above the key; first keys from `above` on are.
    let below = Math.max(this.#starts[bucket]! - 1, 0);
    let above = this.#starts[bucket + 1]!;
    while (above - below > 1) {
      const middle = (below + above) >>> 1;
      if (this.#isFirstAbove(middle, low, high)) above = middle;
      else below = middle;
    }
    return below;
  }

  /** Halves of the highest key. 0 if there is no chunk. */
  get highestLow(): number {
    return this.count === 0 ? 0 : this.lastLow[this.count - 1]!;
  }

  get highestHigh(): number {
    return this.count === 0 ? 0 : this.lastHigh[this.count - 1]!;
  }

  /** First and last key of all chunks. There must be a chunk. */
  get span(): KeySpan {
    const { lastLow, lastHigh } = this.spanAt(this.count - 1);
    return { ...this.spanAt(0), lastLow, lastHigh };
  }

  /** Keys of chunk `i`, which must exist. */
  spanAt(i: number): KeySpan {
    return {
      firstLow: this.firstLow[i]!,
      firstHigh: this.firstHigh[i]!,
      lastLow: this.lastLow[i]!,
      lastHigh: this.lastHigh[i]!,
    };
  }

  #set(i: number, chunk: KeySpan): void {
    this.firstLow[i] = chunk.firstLow;
    this.firstHigh[i] = chunk.firstHigh;
    this.lastLow[i] = chunk.lastLow;
    this.lastHigh[i] = chunk.lastHigh;
    const ascends =
      i === 0 ||
      compareU64(this.lastLow[i - 1]!, this.lastHigh[i - 1]!, chunk.firstLow, chunk.firstHigh) < 0;
    assert(ascends, 'chunks ascend in key and do not overlap');
  }

  /** Number of bits of the difference between the last and the first of the first keys. */
  #spanBits(): number {
    const end = this.count - 1;
    const borrow = this.firstLow[end]! < this.firstLow[0]! ? 1 : 0;
    const spanHigh = this.firstHigh[end]! - this.firstHigh[0]! - borrow;
    if (spanHigh > 0) return 64 - Math.clz32(spanHigh);
    return 32 - Math.clz32(this.firstLow[end]! - this.firstLow[0]!);
  }

  #buildStarts(): Uint32Array {
    const buckets = this.#lastBucket + 1;
    const starts = new Uint32Array(buckets + 1);
    let bucket = 0;
    for (let i = 0; i < this.count; i++) {
      const own = Math.floor(this.#offsetOf(i) * this.#scale);
      while (bucket <= own) starts[bucket++] = i;
    }
    starts[buckets] = this.count;
    return starts;
  }

  /** Difference between the first key of chunk `i` and the lowest first key. */
  #offsetOf(i: number): number {
    const low = this.firstLow[i]!;
    const lowestLow = this.firstLow[0]!;
    const high = this.firstHigh[i]! - this.firstHigh[0]! - (low < lowestLow ? 1 : 0);
    return high * 0x1_0000_0000 + ((low - lowestLow) >>> 0);
  }

  #isFirstAbove(i: number, low: number, high: number): boolean {
    const firstHigh = this.firstHigh[i]!;
    return firstHigh > high || (firstHigh === high && this.firstLow[i]! > low);
  }
}
