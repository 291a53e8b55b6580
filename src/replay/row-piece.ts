/**
 * Words of an entry: the key in halves, the position of its row, and the row's length with {@link
 * DELETE_FLAG}.
 */
export const ENTRY_WORDS = 4;
export const LOW = 0;
export const HIGH = 1;
export const POSITION = 2;
export const LENGTH = 3;
/** Rows are far shorter. */
export const DELETE_FLAG = 0x8000_0000;
export const LENGTH_MASK = 0x7fff_ffff;

/** Entries looked at in a fraction of a millisecond. */
export const STEP_ENTRIES = 8_192;

/** Rows read from a part of a log, in shared memory. */
export interface RowPiece {
  /** Of whole rows. Each takes whole blocks of positions, from 0 on in each piece. */
  readonly buffers: readonly SharedArrayBuffer[];
  /** One for each row, by partition of the key's hash, within it oldest first. */
  readonly entries: Uint32Array;
  /** Where the entries of each partition begin, counted in entries, and where the last ones end. */
  readonly starts: Uint32Array;
  readonly rowCount: number;
  readonly rowBytes: number;
}

/** A piece among others: its positions begin at this block. */
export interface PlacedPiece {
  readonly entries: Uint32Array;
  readonly starts: Uint32Array;
  readonly firstBlock: number;
}

/** Partitions [from, to). */
export interface PartitionRange {
  readonly from: number;
  readonly to: number;
}

/** Places of rows by the ranges of their keys, in no order within a range. */
export interface RangedRows {
  /** Where each range begins in `places`, and where the last one ends, counted in rows. */
  readonly starts: Uint32Array;
  readonly places: Uint32Array;
}
