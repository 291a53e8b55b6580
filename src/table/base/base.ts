import { assert } from '../../base/assert.ts';
import { compareU64 } from '../../base/u64.ts';
import type { ContentSum } from '../../format/content-sum.ts';
import type { Chunk } from '../chunk/chunk.ts';
import { KeyDirectory } from '../chunk/key-directory.ts';
import { LazyChunk, type ChunkSlot } from '../chunk/lazy-chunk.ts';

/** An open interval of keys; null where it has no end. */
export interface KeyGap {
  readonly above: KeyHalves | null;
  readonly below: KeyHalves | null;
}

export interface KeyHalves {
  readonly low: number;
  readonly high: number;
}

/** An immutable sorted list of chunks that do not overlap. Costs per chunk, never per record. */
export class Base {
  readonly directory: KeyDirectory;
  readonly recordCount: number;
  readonly #slots: readonly ChunkSlot[];
  /** Those that have been asked for; a slot that holds its chunk is not asked again. */
  readonly #chunks: (Chunk | undefined)[];
  #memoryBytes = 0;
  /** Slots from here on are not counted in the bytes yet, since one was not in memory. */
  #measured = 0;

  constructor(slots: readonly ChunkSlot[]) {
    this.#slots = slots;
    this.#chunks = slots.map((slot) => (slot instanceof LazyChunk ? slot.loaded : slot));
    this.directory = new KeyDirectory(slots);
    let recordCount = 0;
    for (const slot of slots) recordCount += slot.recordCount;
    this.recordCount = recordCount;
  }

  /** Bytes of all columns that are in memory. */
  get memoryBytes(): number {
    const slots = this.#slots;
    for (; this.#measured < slots.length; this.#measured++) {
      const chunk = loadedOf(slots[this.#measured]!);
      if (chunk === undefined) break;
      this.#memoryBytes += chunk.memoryBytes;
    }
    let memoryBytes = this.#memoryBytes;
    for (let i = this.#measured; i < slots.length; i++) {
      memoryBytes += loadedOf(slots[i]!)?.memoryBytes ?? 0;
    }
    return memoryBytes;
  }

  /** All chunks, ascending. Reads those that are not in memory as it comes to them, and throws as that does. */
  *chunks(): Generator<Chunk, void, undefined> {
    for (let i = 0; i < this.#slots.length; i++) yield this.chunkAt(i)!;
  }

  /** Chunk `i`, undefined where there is none. Reads it if it is not in memory, and throws as that does. */
  chunkAt(i: number): Chunk | undefined {
    const chunk = this.#chunks[i];
    return chunk === undefined ? this.#load(i) : chunk;
  }

  #load(i: number): Chunk | undefined {
    const slot = this.#slots[i];
    if (slot === undefined) return undefined;
    return (this.#chunks[i] = slot instanceof LazyChunk ? slot.chunk : slot);
  }

  /** The chunk that holds this key, if any does. Reads it if it is not in memory, and throws as that does. */
  chunkOf(low: number, high: number): Chunk | undefined {
    const i = this.directory.locate(low, high);
    const chunk = this.#chunks[i];
    if (chunk !== undefined || i < 0) return chunk;
    // No chunk is read for a key behind it.
    const order = compareU64(this.directory.lastLow[i]!, this.directory.lastHigh[i]!, low, high);
    return order < 0 ? undefined : this.#load(i);
  }

  has(low: number, high: number): boolean {
    const chunk = this.chunkOf(low, high);
    return chunk !== undefined && chunk.find(low, high) >= 0;
  }

  /** The value of this key, 0 where a record deletes it, undefined where there is none. */
  valueOfKey(low: number, high: number): bigint | undefined {
    const chunk = this.chunkOf(low, high);
    const index = chunk === undefined ? -1 : chunk.find(low, high);
    return chunk === undefined || index < 0 ? undefined : chunk.valueAt(index);
  }

  /** Subtracts the record of this key, if there is one, from `sum`. */
  subtractFrom(sum: ContentSum, low: number, high: number): void {
    const chunk = this.chunkOf(low, high);
    const index = chunk === undefined ? -1 : chunk.find(low, high);
    if (chunk !== undefined && index >= 0) chunk.subtractFrom(sum, index);
  }

  /** A base in which `replacement`, whose keys lie in `gap`, stands for all records in it. */
  splice(gap: KeyGap, replacement: readonly Chunk[]): Base {
    for (const chunk of replacement) {
      assert(isInside(gap, chunk), 'replacing chunks lie in the range of keys that they replace');
    }
    const before = this.#chunksUpTo(gap.above);
    const after = this.#chunksFrom(gap.below);
    return new Base([...before, ...replacement, ...after]);
  }

  /** Chunks with all records whose key is not above the limit. Cuts the last one if it must. */
  #chunksUpTo(limit: KeyHalves | null): ChunkSlot[] {
    if (limit === null) return [];
    const index = this.directory.locate(limit.low, limit.high);
    const kept = this.#slots.slice(0, index + 1);
    const last = kept.at(-1);
    if (last === undefined || compareU64(last.lastLow, last.lastHigh, limit.low, limit.high) <= 0) {
      return kept;
    }
    const chunk = this.chunkAt(index)!;
    const isPresent = chunk.find(limit.low, limit.high) >= 0;
    const end = chunk.lowerBound(limit.low, limit.high) + (isPresent ? 1 : 0);
    kept[index] = chunk.slice(0, end);
    return kept;
  }

  /** Chunks with all records whose key is not below the limit. Cuts the first one if it must. */
  #chunksFrom(limit: KeyHalves | null): ChunkSlot[] {
    if (limit === null) return [];
    const index = Math.max(this.directory.locate(limit.low, limit.high), 0);
    const kept = this.#slots.slice(index);
    const slot = kept[0];
    // A chunk that begins at the limit or behind it is kept whole, and need not be read.
    if (slot === undefined) return kept;
    if (compareU64(slot.firstLow, slot.firstHigh, limit.low, limit.high) >= 0) return kept;
    const first = this.chunkAt(index)!;
    const start = first.lowerBound(limit.low, limit.high);
    if (start === first.recordCount) kept.shift();
    else if (start > 0) kept[0] = first.slice(start, first.recordCount);
    return kept;
  }
}

function loadedOf(slot: ChunkSlot): Chunk | undefined {
  return slot instanceof LazyChunk ? slot.loaded : slot;
}

function isInside(gap: KeyGap, chunk: Chunk): boolean {
  const { above, below } = gap;
  return (
    (above === null || compareU64(chunk.firstLow, chunk.firstHigh, above.low, above.high) > 0) &&
    (below === null || compareU64(chunk.lastLow, chunk.lastHigh, below.low, below.high) < 0)
  );
}
