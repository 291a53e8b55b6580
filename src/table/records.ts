import type { Presence, DataLength } from './layer/update-layer.ts';
import type { TableRecord } from './layer/table-record.ts';
import type { ContentCount } from './scan/content-count.ts';
import type { View } from './view.ts';

/** Records that can be read, by keys in halves: those of a table, or of one of its moments. */
export interface Records extends Presence {
  /** Exact number of records. */
  readonly size: number;
  /** The data is a copy. */
  lookUp(low: number, high: number): TableRecord | undefined;
  /**
   * Writes the value of a key to two words of `target`, low half first; 0, which no record has,
   * where there is none.
   */
  readValue(low: number, high: number, target: Uint32Array, at: number): void;
  /**
   * Length of the data of a key, or `NO_RECORD`. The data are copied to `offset` of `target` if
   * they fit there.
   */
  readData(low: number, high: number, target: Uint8Array, offset: number): DataLength;
  /** The records as they are now, for reading later. */
  view(): View;
  /** Begins to compute the content hash of the records as they are now. */
  countContent(): ContentCount;
  /** Remembers a count that has ended: the next one goes only over the rows since. */
  keepContent(count: ContentCount): void;
}
