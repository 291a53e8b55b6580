import { mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { LocalCommands } from '../control/local-commands.ts';
import type { KeyCommands, NodeCommands } from '../control/node-commands.ts';
import { NoAnswerError, RemoteCommands } from '../control/remote-commands.ts';
import { NodeRefusedError } from '../node-errors.ts';
import type { NodeOptions } from '../node-options.ts';
import { StorageNode } from '../storage-node.ts';
import type { CliIo } from './cli-io.ts';
import { KeyRing } from './key-ring.ts';
import { readRunFile, runFilePath, type RunningNode } from './running-file.ts';

export interface WithNodeOptions extends Pick<NodeOptions, 'onError'> {
  /** Makes the node if there is none. Any other command refuses: the directory may be a typo. */
  readonly create?: boolean;
}

/**
 * Lets the running node do a command, or opens the node for it: nothing is done then but that.
 *
 * @throws NodeRefusedError `NO_NODE`; Error that names the process which has the node, if it cannot
 *   be asked
 */
export async function withNode<T>(
  data: string,
  { create = false, ...options }: WithNodeOptions,
  work: (commands: NodeCommands) => Promise<T>,
): Promise<T> {
  const directory = create ? await ensureData(data) : await existingNode(data);
  const running = await readRunFile(directory);
  let silence: NoAnswerError | undefined;
  if (running !== undefined) {
    try {
      return await work(new RemoteCommands(running));
    } catch (error) {
      silence = undone(error);
    }
  }
  const node = await openAlone(directory, options, running, silence);
  try {
    return await work(new LocalCommands(node, true));
  } finally {
    await node.close();
  }
}

/** Lets the running node change its keys at once, or changes the key file. */
export async function withKeys<T>(
  directory: string,
  io: Pick<CliIo, 'err'>,
  work: (keys: KeyCommands) => Promise<T>,
): Promise<T> {
  const running = await readRunFile(directory);
  if (running !== undefined) {
    try {
      return await work(new RemoteCommands(running));
    } catch (error) {
      const { message } = undone(error);
      io.err(
        `Process ${running.pid} did not answer at ${running.control}: ${message}. If it is the ` +
          `node, it uses the key file as it is now after "kill -HUP ${running.pid}" or a restart.\n`,
      );
    }
  }
  return work(new KeyRing(directory));
}

/** Returns the error if the node has done nothing. A command must not be done twice. */
function undone(error: unknown): NoAnswerError {
  if (!(error instanceof NoAnswerError)) throw error;
  if (!error.mayBeDone) return error;
  const message = `the running node broke off: ${error.message}. It may have done the command`;
  throw new NoAnswerError(message, true);
}

async function openAlone(
  directory: string,
  options: NodeOptions,
  running: RunningNode | undefined,
  silence: NoAnswerError | undefined,
): Promise<StorageNode> {
  try {
    return await StorageNode.open(directory, { ...options, upkeepMs: 0, scrubBytesPerSecond: 0 });
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'LODESTORE_LOCKED') throw error;
    throw new Error(lockedText(directory, running, silence, (error as Error).message), {
      cause: error,
    });
  }
}

function lockedText(
  directory: string,
  running: RunningNode | undefined,
  silence: NoAnswerError | undefined,
  reason: string,
): string {
  if (running === undefined) {
    return (
      `${reason}\nAnother program has the node open, and ${runFilePath(directory)} does not say ` +
      'where it takes commands. Stop that program, or let it do this by its own calls.'
    );
  }
  return (
    `The node runs as process ${running.pid} and did not answer at ${running.control}: ` +
    `${silence?.message ?? 'no reason'}. Stop it with "kill ${running.pid}", then try again.`
  );
}

/** Resolves to the path of a node's directory. @throws NodeRefusedError `NO_NODE` */
export async function existingNode(data: string): Promise<string> {
  const directory = resolve(data);
  // An open creates it before anything else.
  if (await isDirectory(`${directory}/volumes`)) return directory;
  throw noNode(directory);
}

/** As `existingNode`, also before the first start: keys may have been added. */
export async function existingData(data: string): Promise<string> {
  const directory = resolve(data);
  if (await isDirectory(directory)) return directory;
  throw noNode(directory);
}

function noNode(directory: string): NodeRefusedError {
  return new NodeRefusedError(
    'NO_NODE',
    `there is no node in ${directory}`,
    'Name its directory by --data, or create a node by "lodestore-node start"',
  );
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    throw error;
  }
}

export async function ensureData(data: string): Promise<string> {
  const directory = resolve(data);
  await makeDirectory(directory);
  return directory;
}

/** As `recursive` of Node, which never ends in a directory such as /proc that takes no other. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (code === 'EEXIST') {
      if (await isDirectory(path)) return;
      throw new Error(`${path} is not a directory`, { cause: error });
    }
    if (code !== 'ENOENT' || (await isDirectory(dirname(path)))) throw error;
    await makeDirectory(dirname(path));
    await makeDirectory(path);
  }
}
