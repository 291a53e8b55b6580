/** How the table's layers are cut, so that no step of theirs grows with the table. */
export interface TableSizes {
  /** Rows of a full run of a delta. */
  readonly runRows: number;
  /** Rows of the pieces in which the rows behind the last run are sorted. */
  readonly pieceRows: number;
  /** Chunks of a page of the base: twice as many at most. */
  readonly pageChunks: number;
}

/**
 * A run is sorted in about a millisecond, in steps of a tenth of one; a piece in a tenth of one. A
 * chunk is replaced by copying the directory of its page, in some microseconds.
 */
export const TABLE_SIZES: TableSizes = { runRows: 32_768, pieceRows: 4_096, pageChunks: 256 };
