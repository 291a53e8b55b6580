import { assert } from '../base/assert.ts';
import { compareU64 } from '../base/u64.ts';

/** First and last key of a chunk, in halves. */
export interface KeySpan {
  readonly firstLow: number;
  readonly firstHigh: number;
  readonly lastLow: number;
  readonly lastHigh: number;
}

/**
 * First and last keys of a sorted list of chunks, with an index over the top bits of the span that the
 * first keys cover: as many buckets as chunks, so that evenly spread keys find theirs at once and any
 * others by halving within a bucket. Holds no chunk, so it may outlive them.
 */
export class KeyDirectory {
  readonly count: number;
  readonly firstLow: Uint32Array;
  readonly firstHigh: Uint32Array;
  readonly lastLow: Uint32Array;
  readonly lastHigh: Uint32Array;
  readonly #shift: number;
  /** Index of the first chunk whose bucket is this one or a later one; one entry more than buckets. */
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
    this.#shift = count === 0 ? 0 : Math.max(0, this.#spanBits() - bucketBits);
    this.#starts = this.#buildStarts();
  }

  /** Index of the last chunk whose first key is not above this key, or -1. */
  locate(low: number, high: number): number {
    const end = this.count - 1;
    if (end < 0) return -1;
    if (!this.#isFirstAbove(end, low, high)) return end;
    if (this.#isFirstAbove(0, low, high)) return -1;
    const bucket = this.#bucketOf(low, high);
    // Invariant: first keys up to `below` are not above the key, first keys from `above` on are.
    let below = Math.max(this.#starts[bucket]! - 1, 0);
    let above = this.#starts[bucket + 1]!;
    while (above - below > 1) {
      const middle = (below + above) >>> 1;
      if (this.#isFirstAbove(middle, low, high)) above = middle;
      else below = middle;
    }
    return below;
  }

  /** The highest key, as halves; 0 where there is no chunk. */
  get highestLow(): number {
    return this.count === 0 ? 0 : this.lastLow[this.count - 1]!;
  }

  get highestHigh(): number {
    return this.count === 0 ? 0 : this.lastHigh[this.count - 1]!;
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

  /** Bits that the difference of the last and the first of the first keys needs. */
  #spanBits(): number {
    const end = this.count - 1;
    const borrow = this.firstLow[end]! < this.firstLow[0]! ? 1 : 0;
    const spanHigh = this.firstHigh[end]! - this.firstHigh[0]! - borrow;
    if (spanHigh > 0) return 64 - Math.clz32(spanHigh);
    return 32 - Math.clz32(this.firstLow[end]! - this.firstLow[0]!);
  }

  #buildStarts(): Uint32Array {
    const end = this.count - 1;
    const buckets = end < 0 ? 0 : this.#bucketOf(this.firstLow[end]!, this.firstHigh[end]!) + 1;
    const starts = new Uint32Array(buckets + 1);
    let bucket = 0;
    for (let i = 0; i <= end; i++) {
      const own = this.#bucketOf(this.firstLow[i]!, this.firstHigh[i]!);
      while (bucket <= own) starts[bucket++] = i;
    }
    starts[buckets] = this.count;
    return starts;
  }

  /** Only for keys from the first to the last of the first keys. */
  #bucketOf(low: number, high: number): number {
    const offsetLow = (low - this.firstLow[0]!) >>> 0;
    const offsetHigh = high - this.firstHigh[0]! - (low < this.firstLow[0]! ? 1 : 0);
    const shift = this.#shift;
    if (shift >= 32) return offsetHigh >>> (shift - 32);
    // At shift 0 the span is shorter than the list is long: no high half.
    return shift === 0 ? offsetLow : ((offsetHigh << (32 - shift)) | (offsetLow >>> shift)) >>> 0;
  }

  #isFirstAbove(i: number, low: number, high: number): boolean {
    const firstHigh = this.firstHigh[i]!;
    return firstHigh > high || (firstHigh === high && this.firstLow[i]! > low);
  }
}
