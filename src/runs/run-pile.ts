import type { Columns } from '../format/columns.ts';
import { foldRuns } from './fold.ts';

/**
 * Runs that may overlap are folded when they take more than this, and twice as much as was left the
 * last time.
 */
export const FOLD_BYTES: number = 32 * 1024 * 1024;

type Run = readonly Columns[];

/**
 * The runs of logs, oldest first, as they are read. Logs may hold the same keys again and again:
 * folded on the way, their runs take at most twice what they leave, and FOLD_BYTES.
 */
export class RunPile {
  readonly #foldBytes: number;
  #runs: Run[] = [];
  #bytes = 0;
  #nextFoldBytes: number;

  constructor(foldBytes: number = FOLD_BYTES) {
    this.#foldBytes = foldBytes;
    this.#nextFoldBytes = foldBytes;
  }

  /** Oldest first; none of them is empty. */
  get runs(): readonly Run[] {
    return this.#runs;
  }

  /** Adds a run that is newer than all others. Returns whether they are to be folded now. */
  add(run: Run): boolean {
    if (run.length === 0) return false;
    this.#runs.push(run);
    this.#bytes += bytesOf(run);
    if (this.#bytes <= this.#nextFoldBytes) return false;
    if (!isAscending(this.#runs)) return true;
    // They hold each key once.
    this.#restart();
    return false;
  }

  /** Puts what the runs have been folded into in their place. */
  replace(folded: Run): void {
    this.#runs = folded.length === 0 ? [] : [folded];
    this.#bytes = bytesOf(folded);
    this.#restart();
  }

  /** Folds all runs here. */
  fold(): Columns[] {
    const folded = foldRuns(this.#runs);
    this.replace(folded);
    return folded;
  }

  #restart(): void {
    this.#nextFoldBytes = Math.max(this.#foldBytes, 2 * this.#bytes);
  }
}

/** Whether each run lies above the one before it. */
function isAscending(runs: readonly Run[]): boolean {
  return runs.every((run, i) => i === 0 || runs[i - 1]!.at(-1)!.lastKey < run[0]!.firstKey);
}

/** Bytes of the columns. All columns of a chunk lie in one buffer. */
function bytesOf(run: Run): number {
  return run.reduce((sum, { data }) => sum + data.buffer.byteLength, 0);
}
