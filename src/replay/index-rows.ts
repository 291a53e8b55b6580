import type { Steps } from '../base/steps.ts';
import { KeyRanges, type KeySplitters, type RangedRows } from '../table/replayed/key-order.ts';
import { slotsFor } from './newest-entries.ts';
import { PartitionEntries } from './partition-entries.ts';
import {
  DELETE_FLAG,
  ENTRY_WORDS,
  HIGH,
  LENGTH,
  LENGTH_MASK,
  LOW,
  POSITION,
  STEP_ENTRIES,
  type PartitionRange,
  type PlacedPiece,
} from './row-piece.ts';

/** Indexes some partitions of rows that have been read from logs. */
export interface IndexRowsJob {
  readonly kind: 'index-rows';
  /** Oldest first. */
  readonly pieces: readonly PlacedPiece[];
  readonly partitions: PartitionRange;
  readonly splitters: KeySplitters;
}

/** The newest rows of all keys of some partitions; all in shared memory. */
export interface IndexedRows extends RangedRows {
  /** Of each partition, as `RowIndexParts` say. */
  readonly slots: readonly Uint32Array[];
  /** Keys in halves, in the order of `positions`. */
  readonly keys: Uint32Array;
  /** Rows that hold a record, and their bytes. */
  readonly putCount: number;
  readonly putBytes: number;
  readonly highestLow: number;
  readonly highestHigh: number;
}

export function* indexRows({
  pieces,
  partitions: { from, to },
  splitters,
}: IndexRowsJob): Steps<IndexedRows> {
  const indexer = new Indexer(countEntries(pieces, from, to), new KeyRanges(splitters));
  for (let partition = from; partition < to; partition++) yield* indexer.index(pieces, partition);
  return yield* indexer.finish();
}

function countEntries(pieces: readonly PlacedPiece[], from: number, to: number): number {
  return pieces.reduce((sum, { starts }) => sum + starts[to]! - starts[from]!, 0);
}

function sharedWords(count: number): Uint32Array {
  return new Uint32Array(new SharedArrayBuffer(4 * count));
}

class Indexer {
  readonly #ranges: KeyRanges;
  readonly #partition: PartitionEntries = new PartitionEntries();
  readonly #slots: Uint32Array[] = [];
  /** Of each key: its halves, the position of its newest row, and the range that it lies in. */
  readonly #keys: Uint32Array;
  #keyCount = 0;
  readonly #starts: Uint32Array;
  #putCount = 0;
  #putBytes = 0;
  #highestLow = 0;
  #highestHigh = 0;

  constructor(entryCount: number, ranges: KeyRanges) {
    this.#ranges = ranges;
    this.#keys = new Uint32Array(4 * entryCount);
    this.#starts = sharedWords(ranges.count + 1);
  }

  *index(pieces: readonly PlacedPiece[], partition: number): Steps<void> {
    yield* this.#partition.gather(pieces, partition);
    this.#slots.push(this.#makeSlots());
    const { keyCount } = this.#partition.found;
    for (let from = 0; from < keyCount; from += STEP_ENTRIES) {
      this.#takeKeys(from, Math.min(from + STEP_ENTRIES, keyCount));
      yield;
    }
  }

  /** Positions in the place of ordinals, and no more slots than keys need. */
  #makeSlots(): Uint32Array {
    const { words, found } = this.#partition;
    const count = slotsFor(found.keyCount);
    const made = sharedWords(2 * count);
    const { slots } = found;
    const isSame = count === found.mask + 1;
    for (let at = 0; at < 2 * (found.mask + 1); at += 2) {
      const hash = slots[at]!;
      if (hash === 0) continue;
      let to = isSame ? at : (2 * hash) & (2 * count - 1);
      while (made[to] !== 0) to = (to + 2) & (2 * count - 1);
      made[to] = hash;
      made[to + 1] = words[ENTRY_WORDS * slots[at + 1]! + POSITION]!;
    }
    return made;
  }

  #takeKeys(from: number, to: number): void {
    const { words, found } = this.#partition;
    const keys = this.#keys;
    const starts = this.#starts;
    let at = 4 * this.#keyCount;
    for (let i = from; i < to; i++, at += 4) {
      const entry = ENTRY_WORDS * found.newest[i]!;
      const low = words[entry + LOW]!;
      const high = words[entry + HIGH]!;
      const length = words[entry + LENGTH]!;
      const range = this.#ranges.rangeOf(low, high);
      keys[at] = low;
      keys[at + 1] = high;
      keys[at + 2] = words[entry + POSITION]!;
      keys[at + 3] = range;
      starts[range + 1]!++;
      if (length < DELETE_FLAG) {
        this.#putCount++;
        this.#putBytes += length & LENGTH_MASK;
      }
      if (high > this.#highestHigh || (high === this.#highestHigh && low > this.#highestLow)) {
        this.#highestLow = low;
        this.#highestHigh = high;
      }
    }
    this.#keyCount += to - from;
  }

  /** Puts the keys of each range together. */
  *finish(): Steps<IndexedRows> {
    const starts = this.#starts;
    for (let i = 1; i < starts.length; i++) starts[i]! += starts[i - 1]!;
    const ends = starts.slice();
    const positions = sharedWords(this.#keyCount);
    const keys = sharedWords(2 * this.#keyCount);
    for (let from = 0; from < this.#keyCount; from += STEP_ENTRIES) {
      this.#scatter(from, Math.min(from + STEP_ENTRIES, this.#keyCount), ends, positions, keys);
      yield;
    }
    return {
      slots: this.#slots,
      starts,
      positions,
      keys,
      putCount: this.#putCount,
      putBytes: this.#putBytes,
      highestLow: this.#highestLow,
      highestHigh: this.#highestHigh,
    };
  }

  #scatter(
    from: number,
    to: number,
    ends: Uint32Array,
    positions: Uint32Array,
    keys: Uint32Array,
  ): void {
    const source = this.#keys;
    for (let at = 4 * from; at < 4 * to; at += 4) {
      const place = ends[source[at + 3]!]!++;
      positions[place] = source[at + 2]!;
      keys[2 * place] = source[at]!;
      keys[2 * place + 1] = source[at + 1]!;
    }
  }
}
