import { withDirectory } from '../store/open/with-directory.ts';
import type { CommandContext } from './output/command-context.ts';

/**
 * Runs a command on the directory that `path` leads to now. It is held open until the command ends:
 * every file is read from that directory, whatever becomes of the path meanwhile. `work` is given
 * its real path.
 * @throws StoreError LODESTORE_NOT_FOUND, LODESTORE_NOT_A_DIRECTORY, LODESTORE_IO; what `work`
 *   throws
 */
export function onDirectory<T>(
  context: CommandContext,
  path: string,
  work: (context: CommandContext, directory: string) => Promise<T>,
): Promise<T> {
  return withDirectory(context.fs, path, (held) => work({ ...context, fs: held }, held.realPath));
}
