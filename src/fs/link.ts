import { systemCode } from '../base/errors.ts';
import type { FileSystem } from './file-system.ts';

/**
 * Errors of a hard link after which a copy can succeed: another disk, no support, too many links,
 * no permission, or the file was removed.
 */
const UNLINKABLE: ReadonlySet<string> = new Set([
  'EXDEV',
  'EPERM',
  'EACCES',
  'EMLINK',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
  'EINVAL',
  'ENOENT',
]);

/** Creates a hard link. Returns false if the file must be copied instead. */
export async function linkIfPossible(
  fs: FileSystem,
  existing: string,
  path: string,
): Promise<boolean> {
  try {
    await fs.link(existing, path);
    return true;
  } catch (error) {
    if (UNLINKABLE.has(systemCode(error) ?? '')) return false;
    throw error;
  }
}
