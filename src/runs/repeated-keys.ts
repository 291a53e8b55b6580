import { ROW_HEADER_BYTES } from '../base/limits.ts';
import type { Steps } from '../base/steps.ts';
import { hashKey } from '../base/key-hash.ts';
import type { RowBlock } from './row-columns.ts';
import { DATA_LENGTH, KEY_HIGH, KEY_LOW } from '../format/row.ts';

/** 4 MiB of bits. With two million keys, one key in sixteen shares its bit with another. */
const SEEN_BITS: number = 2 ** 25;
/** A row is shorter than 2^26 bytes. */
const SIZE_CLASSES = 33;
/** Rows that one step counts. */
const STEP_ROWS = 16_384;

/**
 * An upper bound on the bytes of superseded rows, at a cost of a few nanoseconds per row. Each key
 * has a bit. A row whose bit is already set may supersede an earlier row; any other row supersedes
 * none. So there are at most as many superseded rows as bits found set, and they are at most as
 * long as the longest rows.
 */
export class RepeatedKeys {
  readonly #seen: Uint32Array = new Uint32Array(SEEN_BITS / 32);
  /** Index: the number of bits of a row's length. */
  readonly #counts: Uint32Array = new Uint32Array(SIZE_CLASSES);
  readonly #bytes: Float64Array = new Float64Array(SIZE_CLASSES);
  #repeats = 0;
  #countedBlocks = 0;
  #countedBytes = 0;

  /** Counts the rows that were added to the blocks since the last call. */
  *count(blocks: readonly RowBlock[]): Steps<void> {
    for (; this.#countedBlocks < blocks.length; this.#countedBlocks++) {
      const block = blocks[this.#countedBlocks]!;
      while (this.#countedBytes < block.usedBytes) {
        this.#countRows(block);
        yield;
      }
      // More rows may be added to the last block.
      if (this.#countedBlocks === blocks.length - 1) return;
      this.#countedBytes = 0;
    }
  }

  /** Counts the next rows of a block. */
  #countRows({ view, usedBytes }: RowBlock): void {
    const seen = this.#seen;
    let repeats = 0;
    let offset = this.#countedBytes;
    for (let rows = 0; rows < STEP_ROWS && offset < usedBytes; rows++) {
      const hash = hashKey(
        view.getUint32(offset + KEY_LOW, true),
        view.getUint32(offset + KEY_HIGH, true),
      );
      const lengthBytes = ROW_HEADER_BYTES + view.getUint32(offset + DATA_LENGTH, true);
      const word = (hash % SEEN_BITS) >>> 5;
      const bit = 1 << (hash & 31);
      if ((seen[word]! & bit) === 0) seen[word]! |= bit;
      else repeats++;
      const size = 32 - Math.clz32(lengthBytes);
      this.#counts[size]!++;
      this.#bytes[size]! += lengthBytes;
      offset += lengthBytes;
    }
    this.#countedBytes = offset;
    this.#repeats += repeats;
  }

  /** Starts again with rows of distinct keys, none of which supersedes another. */
  *restart(blocks: readonly RowBlock[]): Steps<void> {
    this.#seen.fill(0);
    this.#counts.fill(0);
    this.#bytes.fill(0);
    this.#countedBlocks = 0;
    this.#countedBytes = 0;
    yield* this.count(blocks);
    this.#repeats = 0;
  }

  /** Upper bound on the bytes of superseded rows. */
  get mostBytes(): number {
    let left = this.#repeats;
    let mostBytes = 0;
    for (let size = SIZE_CLASSES - 1; size > 0 && left > 0; size--) {
      const count = this.#counts[size]!;
      if (count === 0) continue;
      const bytes = this.#bytes[size]!;
      mostBytes += count <= left ? bytes : Math.min(bytes, left * 2 ** size);
      left -= Math.min(left, count);
    }
    return mostBytes;
  }
}
