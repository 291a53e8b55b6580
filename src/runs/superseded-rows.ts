import { ROW_HEADER_BYTES } from '../base/limits.ts';
import type { Steps } from '../base/steps.ts';
import { hashKey } from '../base/key-hash.ts';
import type { RowBlock } from './row-columns.ts';
import { DATA_LENGTH, KEY_HIGH, KEY_LOW } from '../format/row.ts';

const FIRST_SLOTS = 1_024;
const SLOT_WORDS = 3;
/** Rows that one step notes or moves. */
const STEP_ROWS = 4_096;

/** Key -> ordinal of its last row. It stores the keys, so rows may be moved during lookups. */
class LastRows {
  /** A slot: the key's halves, and the ordinal plus 1 (0 in a free slot). */
  #slots: Uint32Array = new Uint32Array(SLOT_WORDS * FIRST_SLOTS);
  #mask: number = FIRST_SLOTS - 1;
  #count = 0;

  put(low: number, high: number, ordinal: number): void {
    if (this.#count > 0.7 * (this.#mask + 1)) this.#grow();
    const at = this.#find(low, high);
    if (this.#slots[at + 2] === 0) this.#count++;
    this.#slots[at] = low;
    this.#slots[at + 1] = high;
    this.#slots[at + 2] = ordinal + 1;
  }

  isLast(low: number, high: number, ordinal: number): boolean {
    return this.#slots[this.#find(low, high) + 2] === ordinal + 1;
  }

  /** Start of the key's slot, or of the free slot where it belongs. */
  #find(low: number, high: number): number {
    const slots = this.#slots;
    let slot = hashKey(low, high) & this.#mask;
    for (;;) {
      const at = SLOT_WORDS * slot;
      if (slots[at + 2] === 0 || (slots[at] === low && slots[at + 1] === high)) return at;
      slot = (slot + 1) & this.#mask;
    }
  }

  #grow(): void {
    const old = this.#slots;
    this.#mask = 2 * this.#mask + 1;
    this.#slots = new Uint32Array(2 * old.length);
    for (let at = 0; at < old.length; at += SLOT_WORDS) {
      if (old[at + 2] === 0) continue;
      const to = this.#find(old[at]!, old[at + 1]!);
      this.#slots[to] = old[at]!;
      this.#slots[to + 1] = old[at + 1]!;
      this.#slots[to + 2] = old[at + 2]!;
    }
  }
}

/** The remaining rows of blocks: the last row of each key, in the original order. */
export interface KeptRows {
  readonly rowCount: number;
  readonly kept: RowBlock[];
  /** Blocks without remaining rows. */
  readonly freed: RowBlock[];
}

/**
 * Moves the last row of each key forward, over superseded rows. It needs extra memory only for the
 * keys. The blocks must not be used between two steps.
 */
export function* dropSuperseded(blocks: readonly RowBlock[]): Steps<KeptRows> {
  const last = new LastRows();
  let ordinal = 0;
  for (const { view, usedBytes } of blocks) {
    for (let offset = 0; offset < usedBytes; ordinal++) {
      if (ordinal % STEP_ROWS === 0) yield;
      last.put(
        view.getUint32(offset + KEY_LOW, true),
        view.getUint32(offset + KEY_HIGH, true),
        ordinal,
      );
      offset += ROW_HEADER_BYTES + view.getUint32(offset + DATA_LENGTH, true);
    }
  }
  const target = new PackedBlocks(blocks);
  ordinal = 0;
  for (const block of blocks) {
    const { view, usedBytes } = block;
    for (let offset = 0; offset < usedBytes; ordinal++) {
      if (ordinal % STEP_ROWS === 0) yield;
      const lengthBytes = ROW_HEADER_BYTES + view.getUint32(offset + DATA_LENGTH, true);
      const low = view.getUint32(offset + KEY_LOW, true);
      if (last.isLast(low, view.getUint32(offset + KEY_HIGH, true), ordinal)) {
        target.move(block, offset, lengthBytes);
      }
      offset += lengthBytes;
    }
  }
  return target.finish();
}

/**
 * Packs rows into the blocks that they come from. The write position never passes the read
 * position.
 */
class PackedBlocks {
  readonly #blocks: readonly RowBlock[];
  readonly #usedBytes: number[];
  #index = 0;
  #rowCount = 0;

  constructor(blocks: readonly RowBlock[]) {
    this.#blocks = blocks;
    this.#usedBytes = blocks.map(() => 0);
  }

  move(source: RowBlock, offset: number, lengthBytes: number): void {
    let target = this.#blocks[this.#index]!;
    while (target !== source && this.#usedBytes[this.#index]! + lengthBytes > target.bytes.length) {
      target = this.#blocks[++this.#index]!;
    }
    const at = this.#usedBytes[this.#index]!;
    target.bytes.set(source.bytes.subarray(offset, offset + lengthBytes), at);
    this.#usedBytes[this.#index] = at + lengthBytes;
    this.#rowCount++;
  }

  finish(): KeptRows {
    const kept: RowBlock[] = [];
    const freed: RowBlock[] = [];
    for (const [index, block] of this.#blocks.entries()) {
      block.usedBytes = this.#usedBytes[index]!;
      (block.usedBytes > 0 ? kept : freed).push(block);
    }
    return { rowCount: this.#rowCount, kept, freed };
  }
}
