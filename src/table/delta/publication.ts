import type { Region } from './arena.ts';
import type { ContentMark } from './delta-content.ts';
import type { HashIndex } from './hash-index.ts';

/** A group that is being indexed and is not visible yet. */
export interface Publication {
  readonly region: Region;
  readonly end: number;
  next: number;
  /** While the group is taken back: its rows before this position no longer count. */
  undoneTo: number;
  /** End of the rows whose index slots were prefetched. `seen` is computed from these slots. */
  touchedTo: number;
  seen: number;
  rowCount: number;
  sizeChange: number;
  currentBytesChange: number;
  /** Previous positions of keys in the group. Created when the first key has one. */
  hidden: HashIndex | undefined;
}

/** A visible prefix of a delta's rows. */
export interface DeltaMark extends ContentMark {
  readonly rowCount: number;
}

/** The mark before the first row. */
export const FIRST_MARK: DeltaMark = { rowCount: 0, end: 0, replacedCount: 0, coveringCount: 0 };
