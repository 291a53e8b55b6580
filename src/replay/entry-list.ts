import { hashKey } from '../base/key-hash.ts';
import { partitionOf, PARTITIONS } from '../table/replayed/row-index.ts';
import type { Steps } from '../base/steps.ts';
import { ENTRY_WORDS, HIGH, LOW, STEP_ENTRIES } from './row-piece.ts';
import { SpareWords } from './spare-words.ts';

const FIRST_ENTRIES = 1_024;

export interface PartitionedEntries {
  readonly entries: Uint32Array;
  readonly starts: Uint32Array;
}

const spareWords = new SpareWords();

/** Entries in the order of their rows. */
export class EntryList {
  words: Uint32Array = spareWords.take(ENTRY_WORDS * FIRST_ENTRIES);
  count = 0;

  append(low: number, high: number, position: number, length: number): void {
    let { words } = this;
    const at = ENTRY_WORDS * this.count++;
    if (at === words.length) words = this.#grow();
    words[at] = low;
    words[at + 1] = high;
    words[at + 2] = position;
    words[at + 3] = length;
  }

  #grow(): Uint32Array {
    const longer = new Uint32Array(2 * this.words.length);
    longer.set(this.words);
    return (this.words = longer);
  }

  /**
   * Returns the entries by partition, in shared memory, with the start of each partition. The list
   * must not be used afterwards.
   */
  *byPartition(): Steps<PartitionedEntries> {
    const { count, words } = this;
    const partitions = new Uint8Array(count);
    const starts = new Uint32Array(PARTITIONS + 1);
    for (let from = 0; from < count; from += STEP_ENTRIES) {
      this.#countPartitions(from, Math.min(from + STEP_ENTRIES, count), partitions, starts);
      yield;
    }
    for (let i = 0; i < PARTITIONS; i++) starts[i + 1]! += starts[i]!;
    const ends = starts.slice(0, PARTITIONS);
    const entries = new Uint32Array(new SharedArrayBuffer(4 * ENTRY_WORDS * count));
    for (let from = 0; from < count; from += STEP_ENTRIES) {
      this.#scatter(from, Math.min(from + STEP_ENTRIES, count), partitions, ends, entries);
      yield;
    }
    spareWords.give(words);
    return { entries, starts };
  }

  #countPartitions(from: number, to: number, partitions: Uint8Array, counts: Uint32Array): void {
    const { words } = this;
    for (let i = from, at = ENTRY_WORDS * from; i < to; i++, at += ENTRY_WORDS) {
      const partition = partitionOf(hashKey(words[at + LOW]!, words[at + HIGH]!));
      partitions[i] = partition;
      counts[partition + 1]!++;
    }
  }

  #scatter(
    from: number,
    to: number,
    partitions: Uint8Array,
    ends: Uint32Array,
    entries: Uint32Array,
  ): void {
    const { words } = this;
    for (let i = from, at = ENTRY_WORDS * from; i < to; i++, at += ENTRY_WORDS) {
      const place = ENTRY_WORDS * ends[partitions[i]!]!++;
      entries[place] = words[at]!;
      entries[place + 1] = words[at + 1]!;
      entries[place + 2] = words[at + 2]!;
      entries[place + 3] = words[at + 3]!;
    }
  }
}
