import { join } from 'node:path';
import { RESERVE_NAME, SPARE_NAMES } from '../format/file-name.ts';
import type { FileSystem } from '../fs/file-system.ts';

/**
 * Removes one file of the reserve: the zeros first, then the empty ones, which only give inodes.
 * What is left tells the next open that the zeros have been given up. Resolves with whether
 * anything was removed. Nothing is ever read from the reserve, so this needs no lease.
 */
export async function giveUpOneReserve(fs: FileSystem, directory: string): Promise<boolean> {
  for (const name of [RESERVE_NAME, ...SPARE_NAMES]) {
    const isRemoved = await fs.unlink(join(directory, name)).then(
      () => true,
      () => false,
    );
    if (isRemoved) return true;
  }
  return false;
}
