import { Directory } from '../../fs/directory.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { ensureDirectory } from '../../directory/ensure-directory.ts';

/**
 * Runs `work` on the directory that `path` denotes now. It stays open until `work` ends.
 *
 * @throws StoreError as from `ensureDirectory` if there is none; errors of `work`
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
