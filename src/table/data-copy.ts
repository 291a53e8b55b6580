const POOL_BYTES = 8 * 1024;
/** Longer data gets a buffer of its own: the call is then the smaller part of the cost. */
const LARGEST_POOLED_BYTES = 512;

let pool = new ArrayBuffer(POOL_BYTES);
let used = 0;

/**
 * A copy of `source[from, to)`. Short ones share a buffer of 8 KiB, as those of `Buffer` do: allocating one for
 * each would cost more than finding the record.
 */
export function copyData(source: Uint8Array, from: number, to: number): Uint8Array {
  const lengthBytes = to - from;
  if (lengthBytes > LARGEST_POOLED_BYTES) return source.slice(from, to);
  if (used + lengthBytes > POOL_BYTES) {
    pool = new ArrayBuffer(POOL_BYTES);
    used = 0;
  }
  const copy = new Uint8Array(pool, used, lengthBytes);
  used += lengthBytes;
  if (lengthBytes > 64) copy.set(source.subarray(from, to));
  else for (let i = 0; i < lengthBytes; i++) copy[i] = source[from + i]!;
  return copy;
}
