import { createHash } from 'node:crypto';
import type { FileSystem, OpenFile } from '../../fs/file-system.ts';
import { readFully } from '../../fs/file-window.ts';
import { writeFully } from '../../fs/write.ts';

/**
 * Hashing a block takes less than a millisecond, or two on a processor without SHA instructions.
 */
const BLOCK_BYTES: number = 512 * 1024;

/** Cancellation and progress of a copy. */
export interface CopyHooks {
  readonly signal: AbortSignal | undefined;
  /** Called with the number of bytes of each block read. */
  readonly onBytes: (lengthBytes: number) => void;
}

/** The bytes read of a file. */
export interface FileSum {
  /** Less than requested if the file ends before. */
  readonly lengthBytes: number;
  /** SHA-256 of these bytes, 64 hexadecimal digits. */
  readonly sha256: string;
}

/**
 * Reads the first `lengthBytes` of a file. Rejects with the system error or the signal's reason.
 */
export async function sumFile(
  file: OpenFile,
  lengthBytes: number,
  hooks: CopyHooks,
  onBlock?: (block: Uint8Array, position: number) => Promise<void>,
): Promise<FileSum> {
  const hash = createHash('sha256');
  const buffer = new Uint8Array(Math.min(BLOCK_BYTES, lengthBytes));
  let position = 0;
  while (position < lengthBytes) {
    hooks.signal?.throwIfAborted();
    const wanted = buffer.subarray(0, Math.min(buffer.length, lengthBytes - position));
    const block = wanted.subarray(0, await readFully(file, wanted, position));
    hash.update(block);
    await onBlock?.(block, position);
    position += block.length;
    hooks.onBytes(block.length);
    if (block.length < wanted.length) break;
  }
  return { lengthBytes: position, sha256: hash.digest('hex') };
}

/**
 * Copies the first `lengthBytes` of a file to a new file at `path` and syncs it, but not its name.
 */
export async function copyFile(
  fs: FileSystem,
  source: OpenFile,
  path: string,
  lengthBytes: number,
  hooks: CopyHooks,
): Promise<FileSum> {
  const target = await fs.open(path, 'wx');
  try {
    const sum = await sumFile(source, lengthBytes, hooks, (block, position) =>
      writeFully(target, block, position),
    );
    await target.dataSync();
    return sum;
  } finally {
    await target.close();
  }
}
