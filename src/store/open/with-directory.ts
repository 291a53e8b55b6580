import { Directory } from '../../fs/directory.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { ensureDirectory } from '../../directory/ensure-directory.ts';

/**
 * Runs `work` on the directory that `path` leads to now, held until it ends.
 * @throws StoreError as `ensureDirectory` when there is none; what `work` throws
 */
export async function withDirectory<T>(
  fs: FileSystem,
  path: string,
  work: (directory: Directory) => Promise<T>,
): Promise<T> {
  await ensureDirectory(fs, path, false);
  const directory = await Directory.open(fs, path);
  try {
    return await work(directory);
  } finally {
    await directory.close();
  }
}
