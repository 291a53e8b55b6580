import type { Awaitable } from '../base/flow.ts';
import { ENCODE_SLICE_BYTES } from '../base/limits.ts';
import { zstd } from './zstd.ts';

/** How a frame's payload is stored. */
export const CODEC_RAW = 0;
export const CODEC_ZSTD = 1;

/** Below this length, the zstd header costs more than compression saves. */
const MIN_COMPRESS_BYTES = 64;

const SMALL_SOURCE_BYTES: number = 128 * 1024;

/**
 * Upper bound of the length that `compressInto` writes for a source of this length:
 * ZSTD_COMPRESSBOUND of zstd.h.
 */
export function compressedBound(lengthBytes: number): number {
  const margin = Math.max(0, SMALL_SOURCE_BYTES - lengthBytes) / 2 ** 11;
  return lengthBytes + Math.floor(lengthBytes / 2 ** 8) + Math.floor(margin);
}

/**
 * Compresses into `target`, which holds at least `compressedBound(source.length)` bytes. Returns
 * the number of bytes written, or -1 if the result is not shorter than the source.
 */
export function compressInto(target: Uint8Array, source: Uint8Array, level: number): number {
  if (source.length < MIN_COMPRESS_BYTES) return -1;
  const written = zstd().compress(target, source, level);
  return written < source.length ? written : -1;
}

/**
 * Like `compressInto`, but awaits `pause` after each slice of a long source, so that the event loop
 * is not blocked. Without `pause` it blocks.
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
 * Decompresses one payload into `target`, which must be filled exactly. Returns false if the source
 * is not a zstd payload of that length, because of damage or a forged header.
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
 * Decompresses a payload of unknown length (the ancestor's). Yields pieces of at most 128 KiB; each
 * is valid until the next one is requested. Throws zstd's error if the bytes are not zstd.
 */
export function decompressPieces(source: Uint8Array): Generator<Uint8Array, void, void> {
  return zstd().decompressPieces(source);
}
