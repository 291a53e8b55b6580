import { assert } from '../../base/assert.ts';
import { compareU64, splitU64, u64Halves } from '../../base/u64.ts';
import type { ContentSum } from '../../format/content-sum.ts';
import { Chunk } from '../chunk/chunk.ts';
import type { ChunkSlot } from '../chunk/lazy-chunk.ts';
import { SpanList } from '../chunk/span-list.ts';
import { BasePage } from './base-page.ts';
import { TABLE_SIZES } from '../layer/table-sizes.ts';
import { UNKNOWN_KEY, type DataLength } from '../layer/update-layer.ts';

/** An open interval of keys. Null means unbounded. */
export interface KeyGap {
  readonly above: KeyHalves | null;
  readonly below: KeyHalves | null;
}

export interface KeyHalves {
  readonly low: number;
  readonly high: number;
}

type Slots = SpanList<ChunkSlot, BasePage>;

/** Unchanged slots, and the remaining part of a chunk that the limit divides. */
interface Kept {
  readonly ordinal: number;
  readonly cut: readonly Chunk[];
}

/**
 * An immutable sorted list of non-overlapping chunks. A modified copy shares all unchanged pages.
 */
export class Base {
  readonly recordCount: number;
  readonly #slots: Slots;

  private constructor(slots: Slots) {
    this.#slots = slots;
    let recordCount = 0;
    for (const page of slots.pages) recordCount += page.recordCount;
    this.recordCount = recordCount;
  }

  static of(slots: readonly ChunkSlot[], pageChunks: number = TABLE_SIZES.pageChunks): Base {
    const make = (items: readonly ChunkSlot[]): BasePage => new BasePage(items);
    return new Base(SpanList.of(slots, { pageItems: pageChunks, make }));
  }

  get pages(): readonly BasePage[] {
    return this.#slots.pages;
  }

  get chunkCount(): number {
    return this.#slots.count;
  }

  /** Halves of the highest key. 0 if there is no chunk. */
  get highestLow(): number {
    return this.#slots.highestLow;
  }

  get highestHigh(): number {
    return this.#slots.highestHigh;
  }

  /** Bytes of all columns in memory. */
  get memoryBytes(): number {
    let memoryBytes = 0;
    for (const page of this.#slots.pages) memoryBytes += page.memoryBytes;
    return memoryBytes;
  }

  /** Yields all chunks, ascending. Loads those that are not in memory; throws if that fails. */
  *chunks(): Generator<Chunk, void, undefined> {
    for (const page of this.#slots.pages) {
      for (let i = 0; i < page.items.length; i++) yield page.chunkAt(i);
    }
  }

  /** Yields the chunks that may hold keys from `first` to `last`, like {@link chunks}. */
  *chunksBetween(first: bigint, last: bigint): Generator<Chunk, void, undefined> {
    splitU64(last, 'last');
    const lastLow = u64Halves[0]!;
    const lastHigh = u64Halves[1]!;
    splitU64(first, 'first');
    const from = Math.max(0, this.#slots.locate(u64Halves[0]!, u64Halves[1]!));
    for (let i = from; i < this.#slots.count; i++) {
      const { firstLow, firstHigh } = this.#slots.spanAt(i);
      if (compareU64(firstLow, firstHigh, lastLow, lastHigh) > 0) return;
      yield this.chunkAt(i)!;
    }
  }

  /** Ordinal of the last chunk whose first key is not above this key, or -1. */
  locate(low: number, high: number): number {
    return this.#slots.locate(low, high);
  }

  /** Returns chunk `i`, or undefined. Loads it if it is not in memory; throws if that fails. */
  chunkAt(i: number): Chunk | undefined {
    const place = this.#slots.place(i);
    return place?.page.chunkAt(place.index);
  }

  /**
   * The chunk whose key range includes this key, if any. Loads it if it is not in memory; throws if
   * that fails.
   */
  chunkOf(low: number, high: number): Chunk | undefined {
    const page = this.#slots.pageOf(low, high);
    if (page === undefined) return undefined;
    const i = page.directory.locate(low, high);
    if (i < 0) return undefined;
    const slot = page.items[i]!;
    if (slot instanceof Chunk) return slot;
    // A chunk that ends below the key is not loaded.
    const isBehind = compareU64(slot.lastLow, slot.lastHigh, low, high) < 0;
    return isBehind ? undefined : page.chunkAt(i);
  }

  has(low: number, high: number): boolean {
    const chunk = this.chunkOf(low, high);
    return chunk !== undefined && chunk.find(low, high) >= 0;
  }

  /**
   * Writes the value of this key (0 for a delete) as two words. Returns false if there is no
   * record.
   */
  readValue(low: number, high: number, target: Uint32Array, at: number): boolean {
    const chunk = this.chunkOf(low, high);
    return chunk !== undefined && chunk.readValue(low, high, target, at);
  }

  /** Like `UpdateLayer.readData`. */
  readData(low: number, high: number, target: Uint8Array, offset: number): DataLength {
    const chunk = this.chunkOf(low, high);
    return chunk === undefined ? UNKNOWN_KEY : chunk.readData(low, high, target, offset);
  }

  /** Subtracts the record of this key from `sum`, if there is one. */
  subtractFrom(sum: ContentSum, low: number, high: number): void {
    const chunk = this.chunkOf(low, high);
    const index = chunk === undefined ? -1 : chunk.find(low, high);
    if (chunk !== undefined && index >= 0) chunk.countRow(sum, -1, index);
  }

  /**
   * Returns a base with `replacement`, whose keys are in `gap`, in place of all records in the gap.
   */
  splice(gap: KeyGap, replacement: readonly Chunk[]): Base {
    for (const chunk of replacement) {
      assert(isInside(gap, chunk), 'replacing chunks lie in the range of keys that they replace');
    }
    const before = this.#keptUpTo(gap.above);
    const after = this.#keptFrom(gap.below);
    const slots = [...before.cut, ...replacement, ...after.cut];
    return new Base(this.#slots.splice(before.ordinal, after.ordinal, slots));
  }

  /** The records whose key is not above the limit: all slots before `ordinal`, then `cut`. */
  #keptUpTo(limit: KeyHalves | null): Kept {
    const index = limit === null ? -1 : this.#slots.locate(limit.low, limit.high);
    if (limit === null || index < 0) return { ordinal: 0, cut: [] };
    const { lastLow, lastHigh } = this.#slots.spanAt(index);
    if (compareU64(lastLow, lastHigh, limit.low, limit.high) <= 0) {
      return { ordinal: index + 1, cut: [] };
    }
    const chunk = this.chunkAt(index)!;
    const isPresent = chunk.find(limit.low, limit.high) >= 0;
    const end = chunk.lowerBound(limit.low, limit.high) + (isPresent ? 1 : 0);
    return { ordinal: index, cut: [chunk.slice(0, end)] };
  }

  /** The records whose key is not below the limit: `cut`, then all slots from `ordinal` on. */
  #keptFrom(limit: KeyHalves | null): Kept {
    const { count } = this.#slots;
    if (limit === null || count === 0) return { ordinal: count, cut: [] };
    const index = this.#slots.locate(limit.low, limit.high);
    if (index < 0) return { ordinal: 0, cut: [] };
    const { firstLow, firstHigh, lastLow, lastHigh } = this.#slots.spanAt(index);
    // A chunk entirely on one side of the limit need not be loaded.
    if (compareU64(firstLow, firstHigh, limit.low, limit.high) === 0) {
      return { ordinal: index, cut: [] };
    }
    if (compareU64(lastLow, lastHigh, limit.low, limit.high) < 0) {
      return { ordinal: index + 1, cut: [] };
    }
    const chunk = this.chunkAt(index)!;
    const start = chunk.lowerBound(limit.low, limit.high);
    return { ordinal: index + 1, cut: [chunk.slice(start, chunk.recordCount)] };
  }
}

function isInside(gap: KeyGap, chunk: Chunk): boolean {
  const { above, below } = gap;
  return (
    (above === null || compareU64(chunk.firstLow, chunk.firstHigh, above.low, above.high) > 0) &&
    (below === null || compareU64(chunk.lastLow, chunk.lastHigh, below.low, below.high) < 0)
  );
}
