import zstd from 'zstd-napi/binding.js';
import { decompressInto } from '../../src/format/compression.ts';

/** Payloads that declare more are left as stored. */
const MAX_DECODED_BYTES = 256 * 1024;

// Kept, because the memory of a context is outside the heap and is freed late.
const compressor = new zstd.CCtx();
const decompressor = new zstd.DCtx();

/** One zstd frame, even if it is not shorter. */
export function compressed(bytes: Uint8Array): Uint8Array {
  const target = new Uint8Array(zstd.compressBound(bytes.length));
  return target.subarray(0, compressor.compress(target, bytes, 1));
}

/** The decoded payload; undefined if it is not zstd of that length. */
export function decompressed(stored: Uint8Array, decodedBytes: number): Uint8Array | undefined {
  if (decodedBytes > MAX_DECODED_BYTES) return undefined;
  const decoded = new Uint8Array(decodedBytes);
  return decompressInto(decoded, stored) ? decoded : undefined;
}

/** The decoded payload of unknown length, if it is small. */
export function decompressedWhole(stored: Uint8Array): Uint8Array | undefined {
  try {
    const target = new Uint8Array(MAX_DECODED_BYTES);
    return target.subarray(0, decompressor.decompress(target, stored));
  } catch {
    return undefined;
  }
}
