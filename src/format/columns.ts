/**
 * Records in ascending key order, as columns. This is the shape in which records leave the
 * decoders, cross threads and stand in memory. All views of one `Columns` lie in one buffer
 * (`data.buffer`), so that it is transferred as a whole, or shared.
 */
export interface Columns {
  /** At least 1. */
  readonly recordCount: number;
  readonly firstKey: bigint;
  readonly lastKey: bigint;
  /** Low halves of `key - firstKey`, one per record, strictly ascending together with `keyHigh`. */
  readonly keyLow: Uint32Array;
  /** High halves of `key - firstKey`; null when all are 0. */
  readonly keyHigh: Uint32Array | null;
  /** Subtracted from every value. 0 where a value may be 0, which stands for a delete. */
  readonly valueBase: bigint;
  readonly valueLow: Uint32Array;
  readonly valueHigh: Uint32Array | null;
  /** Bytes of data of every record, or -1 when lengths differ. */
  readonly dataLength: number;
  /** Where each record's data ends in `data`; null when all lengths are equal. */
  readonly dataEnd: Uint32Array | null;
  readonly data: Uint8Array;
}
