import { dirname, resolve } from 'node:path';
import { StoreError, systemCode } from '../base/errors.ts';
import { storeErrorOf } from '../base/store-error-of.ts';
import type { FileSystem } from '../fs/file-system.ts';

/**
 * Checks that `directory` is a directory. With `create`, creates it and its missing parents, and
 * syncs every new name. Names that exist are not synced; see `syncAncestors`.
 *
 * @throws StoreError LODESTORE_NOT_A_DIRECTORY, LODESTORE_NOT_FOUND, LODESTORE_IO
 */
export async function ensureDirectory(
  fs: FileSystem,
  directory: string,
  create: boolean,
): Promise<void> {
  try {
    const { kind } = await fs.stat(directory);
    if (kind === 'directory') return;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' && create) return makeDirectories(fs, resolve(directory));
    if (code !== 'ENOTDIR') {
      if (code !== 'ENOENT') {
        throw storeErrorOf(error, { what: 'the directory cannot be read', path: directory });
      }
      throw new StoreError('LODESTORE_NOT_FOUND', `there is no store at ${directory}`, {
        cause: error,
        path: directory,
      });
    }
  }
  throw new StoreError('LODESTORE_NOT_A_DIRECTORY', `${directory} is not a directory`, {
    path: directory,
  });
}

async function makeDirectories(fs: FileSystem, directory: string): Promise<void> {
  const parent = dirname(directory);
  try {
    await ensureDirectory(fs, parent, parent !== directory);
    await fs.makeDirectory(directory);
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') {
      throw storeErrorOf(error, { what: 'the directory cannot be created', path: directory });
    }
  }
  await fs.syncDirectory(parent);
}

/**
 * Syncs the names of the directory and its parents. Their creator may not have synced them, or may
 * have been killed before. A directory without read permission belongs to somebody else.
 */
export async function syncAncestors(fs: FileSystem, directory: string): Promise<void> {
  for (let path = resolve(directory); path !== dirname(path); path = dirname(path)) {
    try {
      await fs.syncDirectory(dirname(path));
    } catch (error) {
      const code = systemCode(error);
      if (code !== 'EACCES' && code !== 'EPERM') throw error;
    }
  }
}
