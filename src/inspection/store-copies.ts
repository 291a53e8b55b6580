import type { FileSystem } from '../fs/file-system.ts';
import { findFiles } from '../store/salvage/found-files.ts';

/** Names of files under foreign names that are logs or snapshots by their headers. */
export async function findCopies(fs: FileSystem, directory: string): Promise<string[]> {
  const found = await findFiles(fs, directory);
  return found.flatMap(({ name, isNamed }) => (isNamed ? [] : name));
}
