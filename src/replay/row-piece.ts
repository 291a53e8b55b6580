import type { IntervalWords } from '../base/interval-set.ts';

/**
 * Words of an entry: the key's halves, the position of its row, and the row's length with {@link
 * DELETE_FLAG}.
 */
export const ENTRY_WORDS = 4;
export const LOW = 0;
export const HIGH = 1;
export const POSITION = 2;
export const LENGTH = 3;
/** A row's length never uses this bit. */
export const DELETE_FLAG = 0x8000_0000;
export const LENGTH_MASK = 0x7fff_ffff;

/** Number of entries per step: tens of microseconds, or a millisecond before V8 has compiled. */
export const STEP_ENTRIES = 1_024;

/** One entry per row of a piece, in shared memory. */
export interface PieceEntries {
  /** Ordered by partition of the key's hash, then by age, oldest first; or as `starts` says. */
  readonly entries: Uint32Array;
  /**
   * Start of each partition, and the end of the last one, counted in entries. Undefined if the keys
   * of `entries` ascend: no key repeats.
   */
  readonly starts: Uint32Array | undefined;
}

/** Rows of a part of a log, in shared memory. */
export interface RowPiece extends PieceEntries {
  /** Complete rows. Each buffer takes whole blocks of positions, which start at 0 in each piece. */
  readonly buffers: readonly SharedArrayBuffer[];
  readonly rowCount: number;
  readonly rowBytes: number;
  /**
   * These keys of older pieces and of the snapshot are deleted. Ascending, and no two touch. In the
   * piece itself the rows that they cover are deletes.
   */
  readonly intervals: IntervalWords;
}

/** A piece whose entries are ordered by partition. */
export interface PartitionedPiece extends RowPiece {
  readonly starts: Uint32Array;
}

/** A piece among others. Its positions begin at this block. */
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

/** Places of rows grouped by key range, in no order within a range. */
export interface RangedRows {
  /** Start of each range in `places`, and the end of the last one, counted in rows. */
  readonly starts: Uint32Array;
  readonly places: Uint32Array;
}
