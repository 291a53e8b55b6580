import { requireNative } from '../base/native-package.ts';

/** A checksum of `bytes`, continued from `initial`. */
type Crc = (bytes: string | Uint8Array, initial?: number) => number;

/** Loaded with the first checksum: if the binary is missing, `open` fails, not the import. */
let loaded: { readonly crc32: Crc; readonly crc32c: Crc } | undefined;

/** @throws NativePackageError if the package has no binary for this platform */
export function loadCrc(): { readonly crc32: Crc; readonly crc32c: Crc } {
  loaded ??= requireNative('@node-rs/crc32') as typeof import('@node-rs/crc32');
  return loaded;
}

/** CRC-32 (IEEE), which the ancestor uses. */
export function crc32(bytes: string | Uint8Array, initial?: number): number {
  return (loaded ?? loadCrc()).crc32(bytes, initial);
}

/** CRC-32C (Castagnoli). */
export function crc32c(bytes: string | Uint8Array, initial?: number): number {
  return (loaded ?? loadCrc()).crc32c(bytes, initial);
}
