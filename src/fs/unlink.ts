import { systemCode } from '../base/errors.ts';
import type { FileSystem } from './file-system.ts';

/** Removes a name. Also resolves if it does not exist. */
export async function unlinkIfThere(fs: FileSystem, path: string): Promise<void> {
  try {
    await fs.unlink(path);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
  }
}
