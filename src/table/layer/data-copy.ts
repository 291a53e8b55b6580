const POOL_BYTES = 8 * 1024;
/** Longer data gets its own buffer, whose allocation is then a small part of the cost. */
const LARGEST_POOLED_BYTES = 512;

/** Bytes of the longest data that {@link copyWords} accepts. */
export const LONGEST_IN_WORDS = 256;

let pool = new ArrayBuffer(POOL_BYTES);
let poolWords = new Uint32Array(pool);
/** A multiple of 4. */
let used = 0;

/**
 * Copies `source[from, to)`. Short copies share a pool of 8 KiB, like those of `Buffer`, because an
 * allocation costs more than finding the record.
 */
export function copyData(source: Uint8Array, from: number, to: number): Uint8Array {
  const lengthBytes = to - from;
  if (lengthBytes > LARGEST_POOLED_BYTES) return source.slice(from, to);
  if (used + lengthBytes > POOL_BYTES) replacePool();
  const copy = new Uint8Array(pool, used, lengthBytes);
  used += (lengthBytes + 3) & ~3;
  if (lengthBytes > 64) copy.set(source.subarray(from, to));
  else for (let i = 0; i < lengthBytes; i++) copy[i] = source[from + i]!;
  return copy;
}

/** Like {@link copyData}, for `count` words. */
export function copyWords(source: Uint32Array, from: number, count: number): Uint8Array {
  if (used + 4 * count > POOL_BYTES) replacePool();
  const target = poolWords;
  const offset = used;
  const start = offset >>> 2;
  used = offset + 4 * count;
  for (let i = 0; i < count; i++) target[start + i] = source[from + i]!;
  return new Uint8Array(pool, offset, 4 * count);
}

function replacePool(): void {
  pool = new ArrayBuffer(POOL_BYTES);
  poolWords = new Uint32Array(pool);
  used = 0;
}
