import { requireKnownFields, type FieldsOf } from '../../base/fields.ts';
import type { ClosedLog } from '../commit/log-keeper.ts';

/** A merged log that is kept for change feeds. */
export interface RetainedLog extends ClosedLog {
  /** Sequence number of the last batch before the log. */
  readonly before: bigint;
}

/** The logs retained at an open. */
export interface Retention {
  /** Limit of the length of their files, including reserved zeros. */
  readonly limitBytes: number;
  /** In order, without gaps, up to the snapshot. */
  readonly logs: readonly RetainedLog[];
  /** Sequence number of the last batch in the snapshot. */
  readonly snapshotSequence: bigint;
}

const RETAIN_FIELDS: FieldsOf<{ bytes: number }> = { bytes: true };

/** Bytes of merged logs to retain. Throws TypeError or RangeError that names the option. */
export function resolveRetention(retain: { readonly bytes?: number } = {}): number {
  requireKnownFields(retain, RETAIN_FIELDS, 'options.retain');
  const { bytes = 0 } = retain;
  if (typeof bytes !== 'number') throw new TypeError('options.retain.bytes must be a number');
  if (!Number.isSafeInteger(bytes) || bytes < 0) {
    const range = `an integer from 0 to ${Number.MAX_SAFE_INTEGER}`;
    throw new RangeError(`options.retain.bytes must be ${range}`);
  }
  return bytes;
}

/**
 * The retained logs, up to a limit in bytes; the oldest are removed first. They are never merged
 * again.
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

  /** The lowest position from which all later batches are in logs. */
  get oldestPosition(): bigint {
    return this.#logs[0]?.before ?? this.#mergedSequence;
  }

  /** Takes logs that were merged. Returns the paths of logs that are no longer retained. */
  retire(merged: readonly ClosedLog[]): string[] {
    const removed: string[] = [];
    for (const log of merged) {
      const before = this.#mergedSequence;
      this.#mergedSequence = log.lastSequence;
      // An ancestor's log has no sequence numbers, so it cannot be followed.
      if (log.lastSequence === before || this.#limitBytes === 0) removed.push(log.path);
      else this.#logs.push({ ...log, before });
    }
    while (this.totalBytes > this.#limitBytes) removed.push(this.#logs.shift()!.path);
    return removed;
  }
}
