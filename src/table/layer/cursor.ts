import type { ContentSum } from '../../format/content-sum.ts';
import type { TableRecord } from './table-record.ts';

/** Start (inclusive) and direction of a cursor. */
export interface Seek {
  readonly low: number;
  readonly high: number;
  readonly direction: 'up' | 'down';
}

/**
 * Iterates over one sorted source. Each key occurs once. Fields and results are valid until
 * `advance`.
 */
export interface Cursor {
  readonly isDone: boolean;
  readonly low: number;
  readonly high: number;
  readonly isDelete: boolean;
  advance(): void;
  record(): TableRecord;
  /** Adds the record to `sum`. */
  addTo(sum: ContentSum): void;
}
