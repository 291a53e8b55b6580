import type { ClosedLog } from '../commit/log-keeper.ts';

/** A log that a snapshot has taken in, kept for the change feed. */
export interface RetainedLog extends ClosedLog {
  /** Sequence of the last batch before the log. */
  readonly before: bigint;
}

/** What is kept when a store is opened. */
export interface Retention {
  /** Of their files, with the zeros reserved in them. */
  readonly limitBytes: number;
  /** In order, without a gap, up to the snapshot. */
  readonly logs: readonly RetainedLog[];
  /** Sequence of the last batch in the snapshot. */
  readonly snapshotSequence: bigint;
}

/** Bytes of merged logs to keep. Throws TypeError or RangeError that names the option. */
export function resolveRetention(retain: { readonly bytes?: number } = {}): number {
  if (typeof retain !== 'object' || retain === null) {
    throw new TypeError('options.retain must be { bytes: number }');
  }
  const { bytes = 0 } = retain;
  if (typeof bytes !== 'number') throw new TypeError('options.retain.bytes must be a number');
  if (!Number.isSafeInteger(bytes) || bytes < 0) {
    const range = `an integer from 0 to ${Number.MAX_SAFE_INTEGER}`;
    throw new RangeError(`options.retain.bytes must be ${range}`);
  }
  return bytes;
}

/**
 * The merged logs that are kept, up to a bound in bytes: the oldest go first. Never folded again.
 */
export class RetainedLogs {
  readonly #limitBytes: number;
  #logs: RetainedLog[];
  #mergedSequence: bigint;

  constructor(retention: Retention) {
    this.#limitBytes = retention.limitBytes;
    this.#logs = [...retention.logs];
    this.#mergedSequence = retention.snapshotSequence;
  }

  get logs(): readonly RetainedLog[] {
    return this.#logs;
  }

  get totalBytes(): number {
    return this.#logs.reduce((sum, log) => sum + log.fileBytes, 0);
  }

  /** The lowest position from which all later batches are still in logs. */
  get oldestPosition(): bigint {
    return this.#logs[0]?.before ?? this.#mergedSequence;
  }

  /**
   * Takes over logs that a merge has taken in. Returns the paths of those that are no longer kept.
   */
  retire(merged: readonly ClosedLog[]): string[] {
    const removed: string[] = [];
    for (const log of merged) {
      const before = this.#mergedSequence;
      this.#mergedSequence = log.lastSequence;
      // An ancestor's log has no sequences: there is nothing to follow in it.
      if (log.lastSequence === before || this.#limitBytes === 0) removed.push(log.path);
      else this.#logs.push({ ...log, before });
    }
    while (this.totalBytes > this.#limitBytes) removed.push(this.#logs.shift()!.path);
    return removed;
  }
}
