import { uncountedWords } from '../../base/uncounted-memory.ts';

/** Slots of a full-size segment. Splitting one takes about a tenth of a millisecond. */
export const SEGMENT_SLOTS = 8_192;

/** Marks an abandoned slot: its key no longer has a row. */
export const NO_ROW = 0xffff_ffff;

const FIRST_SLOTS = 256;
const SLOT_BYTES = 8;

/**
 * An open-addressing table with linear probing. Slot `i` is `slots[2 * i]`, the key's hash (0 in a
 * free slot), and `slots[2 * i + 1]`, the position of its row. Because hashes are stored, growing
 * and splitting do not access rows.
 *
 * An abandoned slot stays filled while the next one is, because searches pass it. It becomes free
 * with the next one, or when the segment is rebuilt.
 */
export class HashSegment {
  /** Number of top bits of the hash that all keys in this segment share. */
  depth: number;
  mask: number;
  slots: Uint32Array;
  /** Slots that are not free. */
  #count = 0;
  #abandonedCount = 0;
  #maxCount = 0;

  constructor(depth: number, slotCount: number = FIRST_SLOTS) {
    this.depth = depth;
    this.mask = slotCount - 1;
    this.slots = uncountedWords(2 * slotCount);
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

  /** Whether at least half of the filled slots are abandoned. */
  get isMostlyAbandoned(): boolean {
    return 2 * this.#abandonedCount >= this.#count;
  }

  /** Fills a free slot. */
  fill(slot: number, hash: number, position: number): void {
    this.slots[2 * slot] = hash;
    this.slots[2 * slot + 1] = position;
    this.#count++;
  }

  /** Abandons a filled slot, and frees it and those before it if no search passes them. */
  abandon(slot: number): void {
    const { slots, mask } = this;
    slots[2 * slot + 1] = NO_ROW;
    this.#abandonedCount++;
    if (slots[2 * ((slot + 1) & mask)] !== 0) return;
    for (let last = slot; isAbandoned(slots, last); last = (last - 1) & mask) {
      slots[2 * last] = 0;
      slots[2 * last + 1] = 0;
      this.#abandonedCount--;
      this.#count--;
    }
  }

  /** Doubles the number of slots. */
  grow(): void {
    const old = this.slots;
    this.mask = 2 * this.slotCount - 1;
    this.slots = uncountedWords(2 * this.slotCount);
    this.#refill(old);
  }

  /** Frees the abandoned slots, in place: groups that fail in a row leave no uncounted garbage. */
  clean(): void {
    const old = this.slots.slice();
    this.slots.fill(0);
    this.#refill(old);
  }

  /** Adds the rows of other slots to empty ones. */
  #refill(old: Uint32Array): void {
    this.#restart();
    for (let i = 0; i < old.length; i += 2) {
      if (old[i] !== 0 && old[i + 1] !== NO_ROW) this.#insert(old[i]!, old[i + 1]!);
    }
  }

  #restart(): void {
    this.#count = 0;
    this.#abandonedCount = 0;
    this.#maxCount = nextMaxCount(this.slotCount);
  }

  /** Moves the keys whose next hash bit is 1 to a sibling, and returns it. */
  split(): HashSegment {
    const old = this.slots;
    const bit = 0x8000_0000 >>> this.depth;
    this.depth++;
    this.slots = uncountedWords(old.length);
    this.#restart();
    const sibling = new HashSegment(this.depth, this.slotCount);
    for (let i = 0; i < old.length; i += 2) {
      const hash = old[i]!;
      if (hash === 0 || old[i + 1] === NO_ROW) continue;
      const target = (hash & bit) === 0 ? this : sibling;
      target.#insert(hash, old[i + 1]!);
    }
    return sibling;
  }

  /** Adds a row whose key is not in this segment. */
  #insert(hash: number, position: number): void {
    const { slots, mask } = this;
    let slot = hash & mask;
    while (slots[2 * slot] !== 0) slot = (slot + 1) & mask;
    this.fill(slot, hash, position);
  }
}

function isAbandoned(slots: Uint32Array, slot: number): boolean {
  return slots[2 * slot] !== 0 && slots[2 * slot + 1] === NO_ROW;
}

/**
 * Three fifths to five sixths of the slots. Keys are spread evenly over the segments. With the same
 * bound for all, all segments would become full at the same time, and one group would have to split
 * them all.
 */
function nextMaxCount(slotCount: number): number {
  turn = (turn + 0.618_034) % 1;
  return Math.floor(slotCount * (0.6 + 0.23 * turn));
}

let turn = 0;
