import type { Steps } from '../base/steps.ts';
import { BLOCK_BYTES } from '../table/delta/arena.ts';
import { NewestEntries } from './newest-entries.ts';
import { ENTRY_WORDS, POSITION, STEP_ENTRIES, type PlacedPiece } from './row-piece.ts';
import { StepCount } from './step-count.ts';

/** The entries of one partition of all pieces, and the newest entry of each key. */
export class PartitionEntries {
  /** Oldest piece first. Positions count over all pieces. */
  words: Uint32Array = new Uint32Array(0);
  readonly found: NewestEntries = new NewestEntries();
  readonly #steps: StepCount = new StepCount();

  /** Loads another partition and replaces the previous one. */
  *gather(pieces: readonly PlacedPiece[], partition: number): Steps<void> {
    let count = 0;
    for (const { starts } of pieces) count += starts[partition + 1]! - starts[partition]!;
    if (this.words.length < ENTRY_WORDS * count) this.words = new Uint32Array(ENTRY_WORDS * count);
    let end = 0;
    for (const { entries, starts, firstBlock } of pieces) {
      const from = ENTRY_WORDS * end;
      const part = entries.subarray(
        ENTRY_WORDS * starts[partition]!,
        ENTRY_WORDS * starts[partition + 1]!,
      );
      this.words.set(part, from);
      end += part.length / ENTRY_WORDS;
      this.#moveBy(firstBlock * BLOCK_BYTES, from, ENTRY_WORDS * end);
    }
    this.found.begin(count);
    for (let to = count; to > 0; to -= STEP_ENTRIES) {
      const from = Math.max(0, to - STEP_ENTRIES);
      this.found.take(this.words, from, to);
      if (this.#steps.isDue(to - from)) yield;
    }
  }

  #moveBy(position: number, from: number, to: number): void {
    const { words } = this;
    for (let at = from + POSITION; at < to; at += ENTRY_WORDS) words[at]! += position;
  }
}
