import { Chunk } from '../chunk/chunk.ts';
import { KeyDirectory } from '../chunk/key-directory.ts';
import type { ChunkSlot } from '../chunk/lazy-chunk.ts';
import type { SpanPage } from '../chunk/span-list.ts';

/** Consecutive chunks of a base. The bases before and after a merge step share unchanged pages. */
export class BasePage implements SpanPage<ChunkSlot> {
  /** A lazy chunk is replaced by its chunk after it was loaded. */
  readonly items: ChunkSlot[];
  readonly directory: KeyDirectory;
  readonly recordCount: number;
  #memoryBytes = 0;
  /**
   * Chunks from this index on are not included in `#memoryBytes`, because one was not in memory.
   */
  #measured = 0;

  constructor(slots: readonly ChunkSlot[]) {
    this.items = slots.map(loadedOr);
    this.directory = new KeyDirectory(slots);
    let recordCount = 0;
    for (const slot of slots) recordCount += slot.recordCount;
    this.recordCount = recordCount;
  }

  /** Bytes of the columns in memory. */
  get memoryBytes(): number {
    const { items } = this;
    for (; this.#measured < items.length; this.#measured++) {
      const chunk = loadedOr(items[this.#measured]!);
      if (!(chunk instanceof Chunk)) break;
      this.#memoryBytes += chunk.memoryBytes;
    }
    let memoryBytes = this.#memoryBytes;
    for (let i = this.#measured; i < items.length; i++) {
      const chunk = loadedOr(items[i]!);
      if (chunk instanceof Chunk) memoryBytes += chunk.memoryBytes;
    }
    return memoryBytes;
  }

  /** The chunks that are in memory. */
  *loadedChunks(): Generator<Chunk, void, undefined> {
    for (const slot of this.items) {
      const chunk = loadedOr(slot);
      if (chunk instanceof Chunk) yield chunk;
    }
  }

  /** Returns chunk `i`, which must exist. Loads it if it is not in memory; throws if that fails. */
  chunkAt(i: number): Chunk {
    const slot = this.items[i]!;
    if (slot instanceof Chunk) return slot;
    const { chunk } = slot;
    this.items[i] = chunk;
    return chunk;
  }
}

function loadedOr(slot: ChunkSlot): ChunkSlot {
  return slot instanceof Chunk ? slot : (slot.loaded ?? slot);
}
