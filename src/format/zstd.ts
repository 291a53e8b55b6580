import zlib from 'node:zlib';
import type { Zstd } from './zstd-library.ts';
import { NapiZstd } from './zstd-napi.ts';
import { NodeZstd } from './zstd-node.ts';

let chosen: Zstd | undefined;

/**
 * `zstd-napi`; where it has no binary, the zstd of Node.js itself, which has it from 22.15 on. Both
 * read what either writes.
 *
 * @throws NativePackageError when there is neither
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
