/**
 * Records in ascending key order, as columns. Decoders return this shape, threads exchange it, and
 * the table holds it in memory. All views of a `Columns` share one buffer (`data.buffer`), so it is
 * transferred or shared as a whole.
 */
export interface Columns {
  /** At least 1. */
  readonly recordCount: number;
  readonly firstKey: bigint;
  readonly lastKey: bigint;
  /** Low halves of `key - firstKey`, one per record. With `keyHigh`, strictly ascending. */
  readonly keyLow: Uint32Array;
  /** High halves of `key - firstKey`. Null if all are 0. */
  readonly keyHigh: Uint32Array | null;
  /** Subtracted from every value. 0 where a value may be 0, which means a delete. */
  readonly valueBase: bigint;
  readonly valueLow: Uint32Array;
  readonly valueHigh: Uint32Array | null;
  /** Bytes of data of every record, or -1 if lengths differ. */
  readonly dataLength: number;
  /** Where each record's data ends in `data`. Null if all lengths are equal. */
  readonly dataEnd: Uint32Array | null;
  readonly data: Uint8Array;
}
