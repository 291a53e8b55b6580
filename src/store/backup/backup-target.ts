import { basename, dirname, join } from 'node:path';
import { StoreError, systemCode } from '../../base/errors.ts';
import { Directory, realPathOf } from '../../fs/directory.ts';
import { BACKUP_NAME, MARKER_NAME } from '../../format/file-name.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { ensureDirectory } from '../../directory/ensure-directory.ts';

/**
 * Opens the parent directory of `target` and keeps it open, so that all files go there even if the
 * path changes. `target` is absolute. It must not exist, or be an empty directory; a symbolic link
 * may lead to it and remains. Missing parents are created. `work` receives the parent and the real
 * path of the target.
 *
 * @throws StoreError LODESTORE_BAD_TARGET; system errors unchanged; errors of `work`
 */
export async function inParent<T>(
  fs: FileSystem,
  target: string,
  work: (parent: Directory, target: string) => Promise<T>,
): Promise<T> {
  await requireFree(fs, target);
  const real = await realPathOf(fs, target);
  await requireOutsideStores(fs, target, real);
  await ensureDirectory(fs, dirname(real), true);
  const parent = await Directory.open(fs, dirname(real));
  try {
    return await work(parent, join(parent.realPath, basename(real)));
  } finally {
    await parent.close();
  }
}

/** A store, or a backup, holds no other: its tools and its users would take it for a part of it. */
async function requireOutsideStores(fs: FileSystem, target: string, real: string): Promise<void> {
  for (let above = dirname(real); ; above = dirname(above)) {
    for (const name of [MARKER_NAME, BACKUP_NAME]) {
      // Without the right to look, it is not a directory of this user's stores.
      const found = await fs.stat(join(above, name)).catch(() => undefined);
      if (found?.kind !== 'file') continue;
      const reason = `is inside ${above}, a store or a backup. Use a path outside of it`;
      throw badTarget(target, reason);
    }
    if (above === dirname(above)) return;
  }
}

async function requireFree(fs: FileSystem, target: string): Promise<void> {
  try {
    if ((await fs.readDirectory(target)).length > 0) throw taken(target);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOTDIR') throw taken(target);
    if (code !== 'ENOENT') throw error;
    await requireNoName(fs, target);
  }
}

/** A dangling symbolic link is also a name: the directory could not be renamed to it. */
async function requireNoName(fs: FileSystem, target: string): Promise<void> {
  const entries = await fs.readDirectory(dirname(target)).catch((error: unknown) => {
    const code = systemCode(error);
    // A missing parent is created. Missing permissions are reported later.
    if (code === 'ENOENT' || code === 'EACCES' || code === 'EPERM') return [];
    if (code === 'ENOTDIR') throw taken(target);
    throw error;
  });
  if (!entries.some(({ name }) => name === basename(target))) return;
  throw badTarget(target, 'is a dangling symbolic link. Remove it, or use another path');
}

/** The target exists and is not an empty directory. */
export function taken(target: string): StoreError {
  return badTarget(
    target,
    'already exists, and nothing is overwritten. Use a path that does not exist, or an empty directory',
  );
}

/** `reason` is a predicate and a remedy. */
export function badTarget(path: string, reason: string): StoreError {
  return new StoreError('LODESTORE_BAD_TARGET', `${path} ${reason}`, { path });
}
