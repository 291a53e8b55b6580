import type { ContentSum } from '../../format/content-sum.ts';
import type { TableRecord } from './table-record.ts';

/** Where a cursor starts, and which way it goes. The start counts as in the range. */
export interface Seek {
  readonly low: number;
  readonly high: number;
  readonly direction: 'up' | 'down';
}

/** Walks one sorted source, each key once. What it shows of a key is valid until `advance`. */
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
