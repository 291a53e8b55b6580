import { hashKey } from '../../base/key-hash.ts';
import { KEY_HIGH, KEY_LOW } from '../../format/row.ts';
import { blockOf, viewOffset } from '../delta/arena.ts';
import type { RowBlocks } from './row-blocks.ts';

const PARTITION_BITS = 8;
/** Number of parts of an index. The first bits of a key's hash select the part. */
export const PARTITIONS: number = 2 ** PARTITION_BITS;

export function partitionOf(hash: number): number {
  return hash >>> (32 - PARTITION_BITS);
}

/** An index in the form that threads exchange. */
export interface RowIndexParts {
  /** Complete rows. Each buffer starts at a block of its own. */
  readonly buffers: readonly ArrayBufferLike[];
  /**
   * By partition, a table with linear probing. Slot `i` is `[2 * i]`, the key's hash (0 in a free
   * slot), and `[2 * i + 1]`, the position of its row. The number of slots is a power of two, and
   * some are free.
   */
  readonly slots: readonly Uint32Array[];
}

/** Key -> position of its newest row, over immutable rows. */
export class RowIndex {
  readonly blocks: RowBlocks;
  readonly #slots: readonly Uint32Array[];

  constructor(blocks: RowBlocks, slots: RowIndexParts['slots']) {
    this.blocks = blocks;
    this.#slots = slots;
  }

  get memoryBytes(): number {
    return this.#slots.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Position of the newest row of this key, or -1. */
  find(low: number, high: number): number {
    const hash = hashKey(low, high);
    const slots = this.#slots[partitionOf(hash)]!;
    const last = slots.length - 2;
    for (let at = (2 * hash) & last; ; at = (at + 2) & last) {
      const found = slots[at]!;
      if (found === 0) return -1;
      if (found === hash) {
        const position = slots[at + 1]!;
        if (this.#isKeyAt(position, low, high)) return position;
      }
    }
  }

  #isKeyAt(position: number, low: number, high: number): boolean {
    const view = this.blocks.views[blockOf(position)]!;
    const offset = viewOffset(position);
    return (
      view.getUint32(offset + KEY_LOW, true) === low &&
      view.getUint32(offset + KEY_HIGH, true) === high
    );
  }
}
