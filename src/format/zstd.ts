import zlib from 'node:zlib';
import type { Zstd } from './zstd-library.ts';
import { NapiZstd } from './zstd-napi.ts';
import { NodeZstd } from './zstd-node.ts';

let chosen: Zstd | undefined;

/**
 * Returns `zstd-napi`, or the zstd of Node.js (22.15 and later) where that package has no binary.
 * Either reads what the other writes.
 *
 * @throws NativePackageError if neither is available
 */
export function zstd(): Zstd {
  chosen ??= chooseZstd();
  return chosen;
}

function chooseZstd(): Zstd {
  try {
    return new NapiZstd();
  } catch (error) {
    if (typeof (zlib as { zstdCompressSync?: unknown }).zstdCompressSync !== 'function')
      throw error;
    return new NodeZstd();
  }
}
