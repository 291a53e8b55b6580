import { hashKey } from '../base/key-hash.ts';
import type { Steps } from '../base/steps.ts';
import { BLOCK_BYTES } from '../table/delta/arena.ts';
import { DELETE_BIT, PLACE_WORDS } from '../table/replayed/key-order.ts';
import { KeyRanges, type KeySplitters } from './key-ranges.ts';
import { slotsFor } from './newest-entries.ts';
import {
  DELETE_FLAG,
  ENTRY_WORDS,
  HIGH,
  LENGTH,
  LOW,
  POSITION,
  STEP_ENTRIES,
  type PartitionRange,
  type PlacedPiece,
  type RangedRows,
} from './row-piece.ts';
import { SharedSlab } from './shared-slab.ts';
import { SpareWords } from './spare-words.ts';
import { StepCount } from './step-count.ts';

/** Indexes some partitions of the rows read from logs. */
export interface IndexRowsJob {
  readonly kind: 'index-rows';
  /** Oldest first. */
  readonly pieces: readonly PlacedPiece[];
  readonly partitions: PartitionRange;
  readonly splitters: KeySplitters;
}

/** Number and bytes of the rows that are not deletes. */
interface Totals {
  readonly putCount: number;
  readonly putBytes: number;
}

/** The newest row of every key of some partitions. All arrays are in shared memory. */
export interface IndexedRows extends RangedRows, Totals {
  /** The hash table of each partition, as described at `RowIndexParts`. */
  readonly slots: readonly Uint32Array[];
}

export function* indexRows({
  pieces,
  partitions: { from, to },
  splitters,
}: IndexRowsJob): Steps<IndexedRows> {
  const indexer = new Indexer(pieces, { from, to }, new KeyRanges(splitters));
  for (let partition = from; partition < to; partition++) yield* indexer.index(partition);
  return yield* indexer.finish();
}

function countEntries(pieces: readonly PlacedPiece[], from: number, to: number): number {
  return pieces.reduce((sum, { starts }) => sum + starts[to]! - starts[from]!, 0);
}

function sharedWords(count: number): Uint32Array {
  return new Uint32Array(new SharedArrayBuffer(4 * count));
}

/** Words of a key that waits to be assigned to its range: those of a place, and the range. */
const WAITING_WORDS: number = PLACE_WORDS + 1;

const spareWords = new SpareWords();

/**
 * Takes the entries of one partition after the other, from the newest to the oldest, so the first
 * one of each key is its newest. One pass inserts it into the hash table and finds its range.
 */
class Indexer {
  readonly #pieces: readonly PlacedPiece[];
  readonly #ranges: KeyRanges;
  readonly #slots: Uint32Array[] = [];
  readonly #slab: SharedSlab;
  readonly #steps: StepCount = new StepCount();
  /** The keys found, in the order in which they were found. */
  readonly #waiting: Uint32Array;
  /** For each slot in use of the current table, the number of its key in `#waiting`. */
  #numbers: Uint32Array = new Uint32Array(0);
  #keyCount = 0;
  /** Number of keys of the range before. Later: the start of each range. */
  readonly #starts: Uint32Array;
  #putCount = 0;
  #putBytes = 0;

  constructor(pieces: readonly PlacedPiece[], { from, to }: PartitionRange, ranges: KeyRanges) {
    this.#pieces = pieces;
    this.#ranges = ranges;
    this.#waiting = spareWords.take(WAITING_WORDS * countEntries(pieces, from, to));
    this.#starts = sharedWords(ranges.count + 1);
    let slotWords = 0;
    for (let i = from; i < to; i++) slotWords += 2 * slotsFor(countEntries(pieces, i, i + 1));
    this.#slab = new SharedSlab(slotWords);
  }

  *index(partition: number): Steps<void> {
    const pieces = this.#pieces;
    const slotCount = slotsFor(countEntries(pieces, partition, partition + 1));
    const table = this.#slab.take(2 * slotCount);
    if (this.#numbers.length < slotCount) this.#numbers = new Uint32Array(slotCount);
    const firstKey = this.#keyCount;
    for (let i = pieces.length - 1; i >= 0; i--) {
      const { starts } = pieces[i]!;
      const start = starts[partition]!;
      for (let to = starts[partition + 1]!; to > start; to -= STEP_ENTRIES) {
        const from = Math.max(start, to - STEP_ENTRIES);
        this.#take(pieces[i]!, from, to, table);
        if (this.#steps.isDue(to - from)) yield;
      }
    }
    this.#slots.push(this.#shrink(table, this.#keyCount - firstKey));
  }

  /** Takes the entries [from, to) of a piece, last one first. */
  #take({ entries, firstBlock }: PlacedPiece, from: number, to: number, table: Uint32Array): void {
    const waiting = this.#waiting;
    const numbers = this.#numbers;
    const mask = table.length / 2 - 1;
    const shift = firstBlock * BLOCK_BYTES;
    let keyCount = this.#keyCount;
    const end = ENTRY_WORDS * from;
    for (let at = ENTRY_WORDS * (to - 1); at >= end; at -= ENTRY_WORDS) {
      const low = entries[at + LOW]!;
      const high = entries[at + HIGH]!;
      const hash = hashKey(low, high);
      let slot = hash & mask;
      for (; table[2 * slot] !== 0; slot = (slot + 1) & mask) {
        if (table[2 * slot] !== hash) continue;
        const other = WAITING_WORDS * numbers[slot]!;
        if (waiting[other] === low && waiting[other + 1] === high) break;
      }
      if (table[2 * slot] !== 0) continue;
      const position = entries[at + POSITION]! + shift;
      table[2 * slot] = hash;
      table[2 * slot + 1] = position;
      numbers[slot] = keyCount;
      const target = WAITING_WORDS * keyCount++;
      waiting[target] = low;
      waiting[target + 1] = high;
      waiting[target + 2] = this.#countRow(entries[at + LENGTH]!)
        ? position
        : position + DELETE_BIT;
      waiting[target + 3] = this.#assignRange(low, high);
    }
    this.#keyCount = keyCount;
  }

  /** Returns false for a delete. */
  #countRow(length: number): boolean {
    if (length >= DELETE_FLAG) return false;
    this.#putCount++;
    this.#putBytes += length;
    return true;
  }

  #assignRange(low: number, high: number): number {
    const range = this.#ranges.rangeOf(low, high);
    this.#starts[range + 1]!++;
    return range;
  }

  /** Shrinks the newest table of the slab to the number of distinct keys. */
  #shrink(table: Uint32Array, keyCount: number): Uint32Array {
    const words = 2 * slotsFor(keyCount);
    if (words === table.length) return table;
    const shorter = new Uint32Array(words);
    for (let at = 0; at < table.length; at += 2) {
      const hash = table[at]!;
      if (hash === 0) continue;
      let to = (2 * hash) & (words - 1);
      while (shorter[to] !== 0) to = (to + 2) & (words - 1);
      shorter[to] = hash;
      shorter[to + 1] = table[at + 1]!;
    }
    table.fill(0);
    this.#slab.giveBack(table.length - words);
    table.set(shorter);
    return table.subarray(0, words);
  }

  /** Groups the keys by range. */
  *finish(): Steps<IndexedRows> {
    const starts = this.#starts;
    for (let i = 1; i < starts.length; i++) starts[i]! += starts[i - 1]!;
    const ends = starts.slice();
    const places = sharedWords(PLACE_WORDS * this.#keyCount);
    for (let from = 0; from < this.#keyCount; from += STEP_ENTRIES) {
      const to = Math.min(from + STEP_ENTRIES, this.#keyCount);
      this.#scatter(from, to, ends, places);
      if (this.#steps.isDue(to - from)) yield;
    }
    spareWords.give(this.#waiting);
    return {
      slots: this.#slots,
      starts,
      places,
      putCount: this.#putCount,
      putBytes: this.#putBytes,
    };
  }

  #scatter(from: number, to: number, ends: Uint32Array, places: Uint32Array): void {
    const source = this.#waiting;
    for (let at = WAITING_WORDS * from; at < WAITING_WORDS * to; at += WAITING_WORDS) {
      const place = PLACE_WORDS * ends[source[at + PLACE_WORDS]!]!++;
      places[place] = source[at]!;
      places[place + 1] = source[at + 1]!;
      places[place + 2] = source[at + 2]!;
    }
  }
}
