import type { Region } from './arena.ts';
import type { ContentMark } from './delta-content.ts';
import type { HashIndex } from './hash-index.ts';

/** A group that is being indexed and that nobody sees yet. */
export interface Publication {
  readonly region: Region;
  readonly end: number;
  next: number;
  /** End of the rows whose index slots have been touched, and what was seen there. */
  touchedTo: number;
  seen: number;
  rowCount: number;
  sizeChange: number;
  currentBytesChange: number;
  /** Where keys that the group has reached pointed before it; made when there is one. */
  hidden: HashIndex | undefined;
}

/** As many rows of a delta as a reader may see. */
export interface DeltaMark extends ContentMark {
  readonly rowCount: number;
}

/** Before the first row. */
export const FIRST_MARK: DeltaMark = { rowCount: 0, end: 0, replacedCount: 0, coveringCount: 0 };
