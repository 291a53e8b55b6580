/** A record of lodestore. */
export interface StoredRecord {
  readonly value: bigint;
  readonly data: Uint8Array;
}
