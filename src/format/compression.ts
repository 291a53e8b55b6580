import type { Awaitable } from '../base/flow.ts';
import { ENCODE_SLICE_BYTES } from '../base/limits.ts';
import { zstd } from './zstd.ts';

/** How a frame's payload is stored. */
export const CODEC_RAW = 0;
export const CODEC_ZSTD = 1;

/** Below this, zstd's own header eats what it might save. */
const MIN_COMPRESS_BYTES = 64;

const SMALL_SOURCE_BYTES: number = 128 * 1024;

/**
 * Bytes that `compressInto` may need at most for a source of this length: ZSTD_COMPRESSBOUND of
 * zstd.h.
 */
export function compressedBound(lengthBytes: number): number {
  const margin = Math.max(0, SMALL_SOURCE_BYTES - lengthBytes) / 2 ** 11;
  return lengthBytes + Math.floor(lengthBytes / 2 ** 8) + Math.floor(margin);
}

/**
 * Compresses into `target`, which holds at least `compressedBound(source.length)` bytes. Returns
 * the bytes written, or -1 when raw is no longer than zstd.
 */
export function compressInto(target: Uint8Array, source: Uint8Array, level: number): number {
  if (source.length < MIN_COMPRESS_BYTES) return -1;
  const written = zstd().compress(target, source, level);
  return written < source.length ? written : -1;
}

/**
 * As `compressInto`, but gives way to the event loop by `pause`, if there is one, after each slice
 * of the source.
 */
export function compressing(
  target: Uint8Array,
  source: Uint8Array,
  level: number,
  pause: (() => Promise<void>) | undefined,
): Awaitable<number> {
  const isShort = source.length <= ENCODE_SLICE_BYTES;
  if (isShort || pause === undefined) return compressInto(target, source, level);
  return compressInSlices(target, source, level, pause);
}

async function compressInSlices(
  target: Uint8Array,
  source: Uint8Array,
  level: number,
  pause: () => Promise<void>,
): Promise<number> {
  const written = await zstd().compressLater(target, source, level, pause);
  return written < source.length ? written : -1;
}

/**
 * Decompresses one payload into `target`, which must be filled exactly. Returns false when the
 * source is not a zstd payload of that length: the caller's bytes are damaged, or crafted.
 */
export function decompressInto(target: Uint8Array, source: Uint8Array): boolean {
  const library = zstd();
  try {
    return library.decompress(target, source) === target.length;
  } catch {
    return false;
  }
}

/**
 * Decompresses a payload of unknown length (the ancestor's) piece by piece. Yields pieces of at
 * most 128 KiB, each valid until the next is asked for. Throws zstd's error on bytes that are not
 * zstd.
 */
export function decompressPieces(source: Uint8Array): Generator<Uint8Array, void, void> {
  return zstd().decompressPieces(source);
}
