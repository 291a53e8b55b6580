/** Rows of a batch start in a buffer of this length: six or seven short records. */
export const FIRST_ROW_BUFFER_BYTES = 256;

const POOL_BYTES: number = 64 * FIRST_ROW_BUFFER_BYTES;

let pool = new ArrayBuffer(POOL_BYTES);
let usedBytes = 0;

/**
 * A zeroed buffer for a batch's rows. The shortest ones share memory, as those of `Buffer` do: most batches
 * hold one record, and memory of its own for each costs more than all of its packing.
 */
export function makeRowBuffer(lengthBytes: number): Uint8Array {
  if (lengthBytes > FIRST_ROW_BUFFER_BYTES) return new Uint8Array(lengthBytes);
  if (usedBytes === POOL_BYTES) {
    pool = new ArrayBuffer(POOL_BYTES);
    usedBytes = 0;
  }
  const buffer = new Uint8Array(pool, usedBytes, FIRST_ROW_BUFFER_BYTES);
  usedBytes += FIRST_ROW_BUFFER_BYTES;
  return buffer;
}
