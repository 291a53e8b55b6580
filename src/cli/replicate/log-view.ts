import { StoreError, systemCode } from '../../base/errors.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { Checkpoints } from '../../replicated/checkpoint/checkpoints.ts';
import { DirectoryCheckpoints } from '../../replicated/checkpoint/directory-checkpoints.ts';
import type { LogBounds } from '../../replicated/log/shared-log.ts';
import type { CommandContext } from '../output/command-context.ts';
import type { EngineAddress } from './engine-address.ts';

/** Options of every command about a replicated store. */
export interface ReplicateOptions {
  readonly engine: EngineAddress;
  readonly log: string;
  readonly checkpoints?: string;
  readonly json?: true;
}

/** What the engine and the checkpoint store have of one replicated store. */
export interface LogView extends LogBounds {
  readonly engine: string;
  readonly log: string;
  readonly entries: bigint;
  /** Newest first. Undefined if no checkpoint store was given. */
  readonly checkpoints: readonly { readonly name: string; readonly position: bigint }[] | undefined;
}

export async function viewLog(
  context: CommandContext,
  options: ReplicateOptions,
): Promise<LogView> {
  const engine = await options.engine.connect();
  try {
    const log = await engine.log(options.log);
    const { first, last } = await log.bounds({ signal: context.signal });
    const checkpoints = await listedCheckpoints(context, options.checkpoints);
    const { description } = engine;
    const entries = last - first + 1n;
    return { engine: description, log: options.log, first, last, entries, checkpoints };
  } finally {
    await engine.close();
  }
}

async function listedCheckpoints(
  { fs, signal }: CommandContext,
  directory: string | undefined,
): Promise<LogView['checkpoints']> {
  if (directory === undefined) return undefined;
  await requireThere(fs, directory);
  const store = await DirectoryCheckpoints.open(directory, { fileSystem: fs });
  return await new Checkpoints(store, fs).list(signal);
}

/** Opening would create the directory, maybe below a mount point whose volume is missing. */
async function requireThere(fs: FileSystem, directory: string): Promise<void> {
  try {
    await fs.stat(directory);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    const text = `there is no directory ${directory}: check the path, and that its volume is mounted`;
    throw new StoreError('LODESTORE_CHECKPOINT_STORE', text, { cause: error, path: directory });
  }
}
