/** A record. `data` is a copy that belongs to the caller. */
export interface TableRecord {
  readonly value: bigint;
  readonly data: Uint8Array;
}
