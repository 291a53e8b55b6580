import { ENTRY_WORDS, HIGH, LOW } from './row-piece.ts';
import { partitionEntries } from './partition-rows.ts';
import { SpareWords } from './spare-words.ts';
import type { Steps } from '../base/steps.ts';
import type { PieceEntries } from './row-piece.ts';

const FIRST_ENTRIES = 1_024;

const spareWords = new SpareWords();

/** Entries in the order of their rows. */
export class EntryList {
  words: Uint32Array = spareWords.take(ENTRY_WORDS * FIRST_ENTRIES);
  count = 0;
  /** Whether each key is greater than the one before it. */
  isAscending = true;

  append(low: number, high: number, position: number, length: number): void {
    let { words } = this;
    const at = ENTRY_WORDS * this.count++;
    if (at === words.length) words = this.#grow();
    words[at] = low;
    words[at + 1] = high;
    words[at + 2] = position;
    words[at + 3] = length;
    if (this.isAscending && at > 0) this.isAscending = isBelow(words, at - ENTRY_WORDS, low, high);
  }

  #grow(): Uint32Array {
    const longer = new Uint32Array(2 * this.words.length);
    longer.set(this.words);
    return (this.words = longer);
  }

  /** Returns the entries in shared memory. The list must not be used afterwards. */
  *finish(): Steps<PieceEntries> {
    const { count, words } = this;
    const used = words.subarray(0, ENTRY_WORDS * count);
    const finished = this.isAscending
      ? { entries: sharedCopy(used), starts: undefined }
      : yield* partitionEntries(used);
    spareWords.give(words);
    return finished;
  }
}

function isBelow(words: Uint32Array, at: number, low: number, high: number): boolean {
  const own = words[at + HIGH]!;
  return own < high || (own === high && words[at + LOW]! < low);
}

function sharedCopy(words: Uint32Array): Uint32Array {
  const copy = new Uint32Array(new SharedArrayBuffer(words.byteLength));
  copy.set(words);
  return copy;
}
