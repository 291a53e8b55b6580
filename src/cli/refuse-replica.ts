import { resolve } from 'node:path';
import { realPathOf } from '../fs/directory.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { isStoreOfNode } from '../replicated/node/node-examination.ts';
import { UsageError } from './output/command-errors.ts';

/**
 * Refuses the store inside the directory of a replicated node. Its logs are a part of the shared
 * log: batches that only it has, or a merge that removes groups of which the node has no note, make
 * the node differ from the others.
 *
 * @throws UsageError
 */
export async function refuseReplica(fs: FileSystem, directory: string): Promise<void> {
  const path = await realPathOf(fs, resolve(directory));
  if (!(await isStoreOfNode(fs, path))) return;
  throw new UsageError(
    `${directory} belongs to a replicated node, which would differ from its shared log: ` +
      'change it through the node, and see "lodestore replicate --help"',
  );
}
