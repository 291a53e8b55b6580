import { hashKey } from '../base/key-hash.ts';
import { ENTRY_WORDS, HIGH, LENGTH, LENGTH_MASK, LOW } from './row-piece.ts';

const FEWEST_SLOTS = 8;

/** Number of slots for `keyCount` keys. At most two thirds of them are taken. */
export function slotsFor(keyCount: number): number {
  const wanted = Math.max(FEWEST_SLOTS, Math.ceil(keyCount * 1.5));
  return 2 ** (32 - Math.clz32(wanted - 1));
}

/**
 * Finds the newest entry of each key. Entries are taken from the newest to the oldest, so the first
 * one of each key is kept.
 */
export class NewestEntries {
  /** Per slot: the key's hash (0 in a free slot) and the ordinal of its newest entry. */
  slots: Uint32Array = new Uint32Array(0);
  mask = 0;
  /** Ordinals of the newest entries of all keys. The first `keyCount` elements are valid. */
  newest: Uint32Array = new Uint32Array(0);
  keyCount = 0;
  supersededBytes = 0;

  /** Clears the state and allocates space for `count` entries. */
  begin(count: number): void {
    const slotCount = slotsFor(count);
    this.mask = slotCount - 1;
    if (this.slots.length < 2 * slotCount) this.slots = new Uint32Array(2 * slotCount);
    else this.slots.fill(0, 0, 2 * slotCount);
    if (this.newest.length < count) this.newest = new Uint32Array(count);
    this.keyCount = 0;
    this.supersededBytes = 0;
  }

  /** Takes the entries [from, to), last one first. Later entries must have been taken before. */
  take(entries: Uint32Array, from: number, to: number): void {
    const { slots, mask, newest } = this;
    let { keyCount, supersededBytes } = this;
    for (let i = to - 1; i >= from; i--) {
      const at = ENTRY_WORDS * i;
      const low = entries[at + LOW]!;
      const high = entries[at + HIGH]!;
      const hash = hashKey(low, high);
      for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
        const found = slots[2 * slot]!;
        if (found === 0) {
          slots[2 * slot] = hash;
          slots[2 * slot + 1] = i;
          newest[keyCount++] = i;
          break;
        }
        if (found !== hash) continue;
        const other = ENTRY_WORDS * slots[2 * slot + 1]!;
        if (entries[other + LOW] === low && entries[other + HIGH] === high) {
          supersededBytes += entries[at + LENGTH]! & LENGTH_MASK;
          break;
        }
      }
    }
    this.keyCount = keyCount;
    this.supersededBytes = supersededBytes;
  }
}
