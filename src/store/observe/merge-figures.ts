import { monotonicMs } from '../../base/timers.ts';
import { latencyHistogram, type Histogram, type Distribution } from '../../base/histogram.ts';
import type { MergeResult } from '../../jobs/merge.ts';

/** Figures since the store was opened. */
export interface MergeFigures {
  readonly completed: number;
  readonly failed: number;
  /**
   * Bytes of logs and snapshot that the running merge has read, and their total. 0 if none is
   * running.
   */
  readonly progressBytes: number;
  readonly totalBytes: number;
  /**
   * Number and bytes of chunks that were copied (without updates), and of chunks that were encoded.
   */
  readonly copiedChunks: number;
  readonly copiedBytes: number;
  readonly encodedChunks: number;
  readonly encodedBytes: number;
  /** Of completed merges. Undefined before the first. */
  readonly lastDurationMs: number | undefined;
  readonly durationMs: Distribution;
  /** Why the last merge failed. Undefined after a completed one. */
  readonly lastError: Error | undefined;
}

type Merged = Extract<MergeResult, { kind: 'merged' }>;

/** Counters of merges. Only one runs at a time. */
export class MergeCounters {
  lastError: Error | undefined;
  progressBytes = 0;
  #totalBytes = 0;
  #startMs = 0;
  #completed = 0;
  #failed = 0;
  #copiedChunks = 0;
  #copiedBytes = 0;
  #encodedChunks = 0;
  #encodedBytes = 0;
  #lastDurationMs: number | undefined;
  readonly #durationMs: Histogram = latencyHistogram();

  /** Begins a merge that will read `totalBytes`. */
  begin(totalBytes: number): void {
    this.#totalBytes = totalBytes;
    this.progressBytes = 0;
    this.#startMs = monotonicMs();
  }

  /** Records a completed merge. Returns its duration in milliseconds. */
  complete(result: Merged): number {
    const durationMs = monotonicMs() - this.#startMs;
    this.#completed++;
    this.#copiedChunks += result.copiedChunks;
    this.#copiedBytes += result.copiedBytes;
    this.#encodedChunks += result.encodedChunks;
    this.#encodedBytes += result.encodedBytes;
    this.#lastDurationMs = durationMs;
    this.#durationMs.record(durationMs);
    this.lastError = undefined;
    return durationMs;
  }

  fail(error: Error): void {
    this.#failed++;
    this.lastError = error;
  }

  /** Resets the progress when no merge is running. */
  end(): void {
    this.progressBytes = 0;
    this.#totalBytes = 0;
  }

  copy(): MergeFigures {
    return {
      completed: this.#completed,
      failed: this.#failed,
      progressBytes: this.progressBytes,
      totalBytes: this.#totalBytes,
      copiedChunks: this.#copiedChunks,
      copiedBytes: this.#copiedBytes,
      encodedChunks: this.#encodedChunks,
      encodedBytes: this.#encodedBytes,
      lastDurationMs: this.#lastDurationMs,
      durationMs: this.#durationMs.snapshot(),
      lastError: this.lastError,
    };
  }
}
