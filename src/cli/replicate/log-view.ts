import type { ReplicationEngine } from '../../adapters/engine.ts';
import { StoreError, systemCode } from '../../base/errors.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { Checkpoints } from '../../replicated/checkpoint/checkpoints.ts';
import { DirectoryCheckpoints } from '../../replicated/checkpoint/directory-checkpoints.ts';
import type { LogBounds } from '../../replicated/log/shared-log.ts';
import type { UnchangedLog } from '../../replicated/node/node-examination.ts';
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
  return lookAt(options, async (log, { description }) => {
    const { first, last } = await log.bounds({ signal: context.signal });
    const checkpoints = await listedCheckpoints(context, options.checkpoints);
    const entries = last - first + 1n;
    return { engine: description, log: options.log, first, last, entries, checkpoints };
  });
}

/** Runs `look` with the log, which is empty if the engine does not have it. Creates nothing. */
export async function lookAt<T>(
  { engine, log: name }: ReplicateOptions,
  look: (log: UnchangedLog, engine: ReplicationEngine) => Promise<T>,
): Promise<T> {
  const connected = await engine.connect({ createTables: false });
  try {
    return await look(await existingLog(connected, name), connected);
  } finally {
    await connected.close();
  }
}

async function existingLog(engine: ReplicationEngine, name: string): Promise<UnchangedLog> {
  try {
    return await engine.log(name, { create: false });
  } catch (error) {
    if (error instanceof StoreError && error.code === 'LODESTORE_NOT_FOUND') return NO_LOG;
    throw error;
  }
}

const NO_LOG: UnchangedLog = {
  bounds: () => Promise.resolve({ first: 1n, last: 0n }),
  read: (_from, { signal } = {}) => ({
    [Symbol.asyncIterator]: () => ({ next: () => untilAborted(signal) }),
  }),
};

/** Rejects with the reason of the signal. */
function untilAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const end = (): void => reject(signal?.reason as Error);
    if (signal?.aborted === true) end();
    else signal?.addEventListener('abort', end, { once: true });
  });
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
