/** Slots of a segment that has grown up: splitting it takes about a tenth of a millisecond. */
export const SEGMENT_SLOTS = 8_192;

/**
 * In the place of a position: the slot's key has no row any more. Its slot is free when the segment
 * is rebuilt.
 */
export const NO_ROW = 0xffff_ffff;

const FIRST_SLOTS = 256;
const SLOT_BYTES = 8;

/**
 * One open-addressing table with linear probing. Slot `i` is `slots[2 * i]`, the key's hash, 0
 * while the slot is free, and `slots[2 * i + 1]`, the position of its row. With the hashes at hand
 * neither growing nor splitting touches a row.
 */
export class HashSegment {
  /** How many top bits of the hash all keys in here share. */
  depth: number;
  mask: number;
  slots: Uint32Array;
  #count = 0;
  #maxCount = 0;

  constructor(depth: number, slotCount: number = FIRST_SLOTS) {
    this.depth = depth;
    this.mask = slotCount - 1;
    this.slots = new Uint32Array(2 * slotCount);
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
  fill(slot: number, hash: number, position: number): void {
    this.slots[2 * slot] = hash;
    this.slots[2 * slot + 1] = position;
    this.#count++;
  }

  /** Doubles the slots. */
  grow(): void {
    const old = this.slots;
    const slotCount = 2 * this.slotCount;
    this.mask = slotCount - 1;
    this.slots = new Uint32Array(2 * slotCount);
    this.#count = 0;
    this.#maxCount = nextMaxCount(slotCount);
    for (let i = 0; i < old.length; i += 2) {
      if (old[i] !== 0 && old[i + 1] !== NO_ROW) this.#insert(old[i]!, old[i + 1]!);
    }
  }

  /** Moves the keys whose next bit of the hash is 1 into the sibling that it returns. */
  split(): HashSegment {
    const old = this.slots;
    const bit = 0x8000_0000 >>> this.depth;
    this.depth++;
    this.slots = new Uint32Array(old.length);
    this.#count = 0;
    this.#maxCount = nextMaxCount(this.slotCount);
    const sibling = new HashSegment(this.depth, this.slotCount);
    for (let i = 0; i < old.length; i += 2) {
      const hash = old[i]!;
      if (hash === 0 || old[i + 1] === NO_ROW) continue;
      const target = (hash & bit) === 0 ? this : sibling;
      target.#insert(hash, old[i + 1]!);
    }
    return sibling;
  }

  /** Adds a row whose key is known to be new here. */
  #insert(hash: number, position: number): void {
    const { slots, mask } = this;
    let slot = hash & mask;
    while (slots[2 * slot] !== 0) slot = (slot + 1) & mask;
    this.fill(slot, hash, position);
  }
}

/**
 * Three fifths to five sixths of the slots. Keys spread evenly over the segments; with one bound
 * for all of them all would be full at the same time, and a single group would pay for splitting
 * them all.
 */
function nextMaxCount(slotCount: number): number {
  turn = (turn + 0.618_034) % 1;
  return Math.floor(slotCount * (0.6 + 0.23 * turn));
}

let turn = 0;
