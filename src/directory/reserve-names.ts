import { join } from 'node:path';
import { RESERVE_NAME, SPARE_NAMES } from '../format/file-name.ts';
import type { FileSystem } from '../fs/file-system.ts';

/**
 * Removes one file of the reserve: first the zeros, then the empty files, which only free inodes.
 * The remaining files tell the next open that the zeros were released. Resolves with whether a file
 * was removed. The reserve is never read, so this needs no lease.
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
