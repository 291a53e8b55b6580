import type { Steps } from '../base/steps.ts';
import { DELETE_BIT, PLACE_WORDS } from '../table/replayed/key-order.ts';
import { KeyRanges, type KeySplitters } from './key-ranges.ts';
import { slotsFor } from './newest-entries.ts';
import { PartitionEntries } from './partition-entries.ts';
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

class Indexer {
  readonly #pieces: readonly PlacedPiece[];
  readonly #ranges: KeyRanges;
  readonly #partition: PartitionEntries = new PartitionEntries();
  readonly #slots: Uint32Array[] = [];
  readonly #slab: SharedSlab;
  readonly #steps: StepCount = new StepCount();
  readonly #waiting: Uint32Array;
  #keyCount = 0;
  readonly #starts: Uint32Array;
  #totals: Totals = { putCount: 0, putBytes: 0 };

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
    yield* this.#partition.gather(this.#pieces, partition);
    this.#slots.push(this.#makeSlots());
    const { keyCount } = this.#partition.found;
    for (let from = 0; from < keyCount; from += STEP_ENTRIES) {
      const to = Math.min(from + STEP_ENTRIES, keyCount);
      this.#takeKeys(from, to);
      if (this.#steps.isDue(to - from)) yield;
    }
  }

  /** Replaces ordinals by positions, and shrinks the table to the number of distinct keys. */
  #makeSlots(): Uint32Array {
    const { words, found } = this.#partition;
    const { slots } = found;
    const foundWords = 2 * (found.mask + 1);
    const madeWords = 2 * slotsFor(found.keyCount);
    const made = this.#slab.take(madeWords, foundWords);
    const isSame = madeWords === foundWords;
    for (let at = 0; at < foundWords; at += 2) {
      const hash = slots[at]!;
      if (hash === 0) continue;
      let to = at;
      if (!isSame) {
        to = (2 * hash) & (madeWords - 1);
        while (made[to] !== 0) to = (to + 2) & (madeWords - 1);
      }
      made[to] = hash;
      made[to + 1] = words[ENTRY_WORDS * slots[at + 1]! + POSITION]!;
    }
    return made;
  }

  #takeKeys(from: number, to: number): void {
    const { words, found } = this.#partition;
    const waiting = this.#waiting;
    const starts = this.#starts;
    const ranges = this.#ranges;
    let { putCount, putBytes } = this.#totals;
    let at = WAITING_WORDS * this.#keyCount;
    for (let i = from; i < to; i++, at += WAITING_WORDS) {
      const entry = ENTRY_WORDS * found.newest[i]!;
      const low = words[entry + LOW]!;
      const high = words[entry + HIGH]!;
      const length = words[entry + LENGTH]!;
      const range = ranges.rangeOf(low, high);
      const isDelete = length >= DELETE_FLAG;
      waiting[at] = low;
      waiting[at + 1] = high;
      waiting[at + 2] = isDelete ? words[entry + POSITION]! + DELETE_BIT : words[entry + POSITION]!;
      waiting[at + 3] = range;
      starts[range + 1]!++;
      if (!isDelete) {
        putCount++;
        putBytes += length;
      }
    }
    this.#totals = { putCount, putBytes };
    this.#keyCount += to - from;
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
    return { slots: this.#slots, starts, places, ...this.#totals };
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
