/**
 * Sizes of the parts of the table's layers. They bound each step, independent of the table's size.
 */
export interface TableSizes {
  /** Rows of a complete run of a delta. It may have up to a piece more. */
  readonly runRows: number;
  /** Rows of the pieces in which rows after the last run are sorted. */
  readonly pieceRows: number;
  /** Chunks of a page of the base. A page has at most twice as many. */
  readonly pageChunks: number;
}

/**
 * Sorting a run takes about a millisecond, in steps of less than half of one; sorting a piece takes
 * a fifth of a millisecond. Replacing a chunk copies the directory of its page, which takes some
 * microseconds.
 */
export const TABLE_SIZES: TableSizes = { runRows: 32_768, pieceRows: 4_096, pageChunks: 256 };
