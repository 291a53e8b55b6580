import { join } from 'node:path';
import { StoreError, systemCode } from '../base/errors.ts';
import { INCOMPLETE_NAME } from '../format/file-name.ts';
import type { FileSystem } from '../fs/file-system.ts';

/**
 * Refuses a directory that a backup, a restore or another command has not finished filling. Its
 * files may look like a store although some are missing.
 *
 * @throws StoreError LODESTORE_INCOMPLETE; system errors unchanged
 */
export async function refuseIncompleteCopy(fs: FileSystem, directory: string): Promise<void> {
  try {
    await fs.stat(join(directory, INCOMPLETE_NAME));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    throw error;
  }
  throw new StoreError(
    'LODESTORE_INCOMPLETE',
    `${directory} is incomplete: the backup, restore or other command that fills it is still under way, ` +
      `or was interrupted. Run that again, or remove the directory`,
    { path: directory },
  );
}
