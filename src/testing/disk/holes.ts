import type { Content } from './content.ts';
import { PAGE_BYTES } from './effect.ts';

/**
 * The whole blocks of a file that a trim has freed and no write has touched since. They only count
 * for the capacity of the disk: they read as zeros, like other zeros.
 */
export class Holes {
  readonly #blocks: Set<number>;

  constructor(blocks: Iterable<number> = []) {
    this.#blocks = new Set(blocks);
  }

  get sizeBytes(): number {
    return this.#blocks.size * PAGE_BYTES;
  }

  clone(): Holes {
    return new Holes(this.#blocks);
  }

  has(block: number): boolean {
    return this.#blocks.has(block);
  }

  /** Frees the blocks that are wholly in [startBytes, endBytes). */
  punch(startBytes: number, endBytes: number): void {
    const end = Math.floor(endBytes / PAGE_BYTES);
    for (let block = Math.ceil(startBytes / PAGE_BYTES); block < end; block++) {
      this.#blocks.add(block);
    }
  }

  /** The blocks that overlap [startBytes, endBytes) take space again. */
  fill(startBytes: number, endBytes: number): void {
    if (this.#blocks.size === 0) return;
    const end = Math.ceil(endBytes / PAGE_BYTES);
    for (let block = Math.floor(startBytes / PAGE_BYTES); block < end; block++) {
      this.#blocks.delete(block);
    }
  }

  /** Sets the end of the file to `sizeBytes`. */
  cut(sizeBytes: number): void {
    const kept = Math.floor(sizeBytes / PAGE_BYTES);
    for (const block of this.#blocks) if (block >= kept) this.#blocks.delete(block);
  }

  /** The holes that can remain after a crash that left `content`. */
  keptIn(content: Content): Holes {
    const kept = new Holes(this.#blocks);
    kept.cut(content.sizeBytes);
    for (const block of kept.#blocks) {
      const bytes = content.bytes.subarray(block * PAGE_BYTES, (block + 1) * PAGE_BYTES);
      if (bytes.some((byte) => byte !== 0)) kept.#blocks.delete(block);
    }
    return kept;
  }
}
