import { withDirectory } from '../store/open/with-directory.ts';
import type { CommandContext } from './output/command-context.ts';

/**
 * Runs a command on the directory that `path` denotes now. The directory stays open until the
 * command ends, so all files are read from it even if the path changes meanwhile. `work` receives
 * the real path.
 *
 * @throws StoreError LODESTORE_NOT_FOUND, LODESTORE_NOT_A_DIRECTORY, LODESTORE_IO; errors of `work`
 */
export function onDirectory<T>(
  context: CommandContext,
  path: string,
  work: (context: CommandContext, directory: string) => Promise<T>,
): Promise<T> {
  return withDirectory(context.fs, path, (held) => work({ ...context, fs: held }, held.realPath));
}
