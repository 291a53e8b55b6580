import { blockOf, viewOffset, type RowArena } from './arena.ts';
import { hashKey, tagOf } from './key-hash.ts';
import { KEY_HIGH, KEY_LOW } from './row.ts';

/** Slots of a segment that has grown up: rebuilding it takes about half a millisecond. */
export const SEGMENT_SLOTS = 8_192;

const FIRST_SLOTS = 256;
const SLOT_BYTES = 5;

/** One open-addressing table with linear probing. A slot is free while its tag is 0. */
export class HashSegment {
  /** How many top bits of the hash all keys in here share. */
  depth: number;
  mask: number;
  tags: Uint8Array;
  positions: Uint32Array;
  #count = 0;
  #maxCount = 0;

  constructor(depth: number, slotCount: number = FIRST_SLOTS) {
    this.depth = depth;
    this.mask = slotCount - 1;
    this.tags = new Uint8Array(slotCount);
    this.positions = new Uint32Array(slotCount);
    this.#maxCount = nextMaxCount(slotCount);
  }

  get slotCount(): number {
    return this.mask + 1;
  }

  get memoryBytes(): number {
    return this.slotCount * SLOT_BYTES;
  }

  get isFull(): boolean {
    return this.#count >= this.#maxCount;
  }

  /** Takes a free slot. */
  fill(slot: number, tag: number, position: number): void {
    this.tags[slot] = tag;
    this.positions[slot] = position;
    this.#count++;
  }

  /** Doubles the slots. */
  grow(arena: RowArena): void {
    const positions = this.#drain();
    const slotCount = 2 * this.slotCount;
    this.mask = slotCount - 1;
    this.tags = new Uint8Array(slotCount);
    this.positions = new Uint32Array(slotCount);
    this.#maxCount = nextMaxCount(slotCount);
    for (const position of positions) this.#insert(arena, position);
  }

  /** Moves the keys whose next bit of the hash is 1 into the sibling that it returns. */
  split(arena: RowArena): HashSegment {
    const positions = this.#drain();
    this.tags.fill(0);
    this.#maxCount = nextMaxCount(this.slotCount);
    const bit = 0x8000_0000 >>> this.depth;
    this.depth++;
    const sibling = new HashSegment(this.depth, this.slotCount);
    for (const position of positions) {
      const view = arena.views[blockOf(position)]!;
      const offset = viewOffset(position);
      const hash = hashKey(
        view.getUint32(offset + KEY_LOW, true),
        view.getUint32(offset + KEY_HIGH, true),
      );
      const target = (hash & bit) === 0 ? this : sibling;
      target.#insert(arena, position);
    }
    return sibling;
  }

  /** All positions; the segment counts as empty, its slots are still to be cleared. */
  #drain(): Uint32Array {
    const drained = new Uint32Array(this.#count);
    let count = 0;
    for (let slot = 0; slot <= this.mask; slot++) {
      if (this.tags[slot] !== 0) drained[count++] = this.positions[slot]!;
    }
    this.#count = 0;
    return drained;
  }

  /** Adds a row whose key is known to be new here. */
  #insert(arena: RowArena, position: number): void {
    const view = arena.views[blockOf(position)]!;
    const offset = viewOffset(position);
    const low = view.getUint32(offset + KEY_LOW, true);
    const high = view.getUint32(offset + KEY_HIGH, true);
    let slot = hashKey(low, high) & this.mask;
    while (this.tags[slot] !== 0) slot = (slot + 1) & this.mask;
    this.fill(slot, tagOf(low, high), position);
  }
}

/**
 * Half to three quarters of the slots. Keys spread evenly over the segments; with one bound for all of them
 * all would be full at the same time, and a single group would pay for splitting them all.
 */
function nextMaxCount(slotCount: number): number {
  turn = (turn + 0.618_034) % 1;
  return Math.floor(slotCount * (0.5 + 0.25 * turn));
}

let turn = 0;
