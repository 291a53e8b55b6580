import { assert } from '../../base/assert.ts';
import { blockOf, viewOffset, type RowArena } from './arena.ts';
import { HashSegment, NO_ROW, SEGMENT_SLOTS } from './hash-segment.ts';
import { hashKey } from '../../base/key-hash.ts';
import { KEY_HIGH, KEY_LOW } from '../../format/row.ts';

/** At this depth, segments grow instead of splitting. Only maliciously colliding keys get there. */
const MAX_DEPTH = 18;

/**
 * Key -> position of its latest row, by extendible hashing. The top bits of a key's hash select a
 * segment of bounded size, so the index grows by splitting one segment at a time. Keys are not
 * stored: they are read from the rows.
 */
export class HashIndex {
  readonly #arena: RowArena;
  #directory: HashSegment[];
  #depth = 0;
  #count = 0;
  #memoryBytes: number;

  constructor(arena: RowArena) {
    this.#arena = arena;
    const segment = new HashSegment(0);
    this.#directory = [segment];
    this.#memoryBytes = segment.memoryBytes;
  }

  /** Number of distinct keys. */
  get count(): number {
    return this.#count;
  }

  get memoryBytes(): number {
    return this.#memoryBytes + this.#directory.length * 8;
  }

  /** Position of the latest row of this key, or -1. */
  find(low: number, high: number): number {
    const hash = hashKey(low, high);
    const { slots } = this.#segmentOf(hash);
    const slot = this.#probe(slots, hash, low, high);
    return slots[2 * slot] === 0 ? -1 : slots[2 * slot + 1]!;
  }

  /**
   * Reads the slot where the search for this key begins, to prefetch it. The cache misses of
   * consecutive calls overlap. Those of consecutive `put`s do not, because each ends before the
   * next begins.
   */
  touch(low: number, high: number): number {
    const hash = hashKey(low, high);
    const { slots, mask } = this.#segmentOf(hash);
    return slots[2 * (hash & mask)]!;
  }

  /** Sets the key's position. Returns its previous position, or -1. */
  put(low: number, high: number, position: number): number {
    const hash = hashKey(low, high);
    let segment = this.#segmentOf(hash);
    let slot = this.#probe(segment.slots, hash, low, high);
    if (segment.slots[2 * slot] !== 0) {
      const previous = segment.slots[2 * slot + 1]!;
      segment.slots[2 * slot + 1] = position;
      return previous;
    }
    while (segment.isFull) {
      this.#relieve(segment, hash);
      segment = this.#segmentOf(hash);
      slot = this.#probe(segment.slots, hash, low, high);
    }
    segment.fill(slot, hash, position);
    this.#count++;
    return -1;
  }

  /** Sets the key, which must have been put, back to its previous position. -1: it had none. */
  restore(low: number, high: number, position: number): void {
    const hash = hashKey(low, high);
    const segment = this.#segmentOf(hash);
    const { slots } = segment;
    const slot = this.#probe(slots, hash, low, high);
    assert(slots[2 * slot] !== 0, 'only a key that was put is restored');
    if (position >= 0) {
      slots[2 * slot + 1] = position;
      return;
    }
    segment.abandon(slot);
    this.#count--;
  }

  #segmentOf(hash: number): HashSegment {
    // Two shifts, because a shift by 32 is a no-op.
    return this.#directory[(hash >>> 1) >>> (31 - this.#depth)]!;
  }

  /** The slot of the key, or the free slot where it belongs. */
  #probe(slots: Uint32Array, hash: number, low: number, high: number): number {
    const mask = slots.length / 2 - 1;
    let slot = hash & mask;
    for (;;) {
      const found = slots[2 * slot]!;
      if (found === 0 || (found === hash && this.#isKeyAt(slots[2 * slot + 1]!, low, high))) {
        return slot;
      }
      slot = (slot + 1) & mask;
    }
  }

  #isKeyAt(position: number, low: number, high: number): boolean {
    if (position === NO_ROW) return false;
    const view = this.#arena.views[blockOf(position)]!;
    const offset = viewOffset(position);
    return (
      view.getUint32(offset + KEY_LOW, true) === low &&
      view.getUint32(offset + KEY_HIGH, true) === high
    );
  }

  /** Makes room for more keys in a full segment. */
  #relieve(segment: HashSegment, hash: number): void {
    if (segment.isMostlyAbandoned) {
      segment.clean();
      return;
    }
    const bytesBefore = segment.memoryBytes;
    if (segment.slotCount < SEGMENT_SLOTS || segment.depth === MAX_DEPTH) {
      segment.grow();
      this.#memoryBytes += segment.memoryBytes - bytesBefore;
      return;
    }
    if (segment.depth === this.#depth) this.#doubleDirectory();
    const sibling = segment.split();
    this.#memoryBytes += sibling.memoryBytes;
    // The directory entries of a segment are contiguous. The upper half becomes the sibling's.
    const span = 2 ** (this.#depth - segment.depth);
    const entry = (hash >>> 1) >>> (31 - this.#depth);
    const first = entry - (entry % (2 * span));
    assert(this.#directory[first] === segment, 'the entries of a segment stand together');
    this.#directory.fill(sibling, first + span, first + 2 * span);
  }

  #doubleDirectory(): void {
    const doubled: HashSegment[] = [];
    for (const segment of this.#directory) doubled.push(segment, segment);
    this.#directory = doubled;
    this.#depth++;
  }
}
