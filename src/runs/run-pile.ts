import type { Steps } from '../base/steps.ts';
import type { Columns } from '../format/columns.ts';
import { foldRuns } from './fold.ts';

/**
 * Overlapping runs are folded when they take more than this, and more than twice the size that the
 * last fold left.
 */
export const FOLD_BYTES: number = 32 * 1024 * 1024;

type Run = readonly Columns[];

/**
 * The runs of logs, oldest first, as they are read. Logs may repeat the same keys. Because runs are
 * folded while they are read, they take at most FOLD_BYTES or twice the size of the result.
 */
export class RunPile {
  readonly #foldBytes: number;
  /** Oldest first. None is empty. */
  #runs: Run[] = [];
  #bytes = 0;
  #nextFoldBytes: number;

  constructor(foldBytes: number = FOLD_BYTES) {
    this.#foldBytes = foldBytes;
    this.#nextFoldBytes = foldBytes;
  }

  /** Adds a run that is newer than all others. Returns whether the runs must be folded now. */
  add(run: Run): boolean {
    if (run.length === 0) return false;
    this.#runs.push(run);
    this.#bytes += bytesOf(run);
    if (this.#bytes <= this.#nextFoldBytes) return false;
    if (!isAscending(this.#runs)) return true;
    // No key occurs twice: there is nothing to fold.
    this.#restart();
    return false;
  }

  /** Folds all runs into one, which replaces them. Nothing is added until it has ended. */
  *fold(): Steps<Columns[]> {
    const folded = yield* foldRuns(this.#runs);
    this.#runs = folded.length === 0 ? [] : [folded];
    this.#bytes = bytesOf(folded);
    this.#restart();
    return folded;
  }

  #restart(): void {
    this.#nextFoldBytes = Math.max(this.#foldBytes, 2 * this.#bytes);
  }
}

/** Whether each run lies above the previous one. */
function isAscending(runs: readonly Run[]): boolean {
  return runs.every((run, i) => i === 0 || runs[i - 1]!.at(-1)!.lastKey < run[0]!.firstKey);
}

/** Bytes of the columns. All columns of a chunk share one buffer. */
function bytesOf(run: Run): number {
  return run.reduce((sum, { data }) => sum + data.buffer.byteLength, 0);
}
