import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { LocalCommands } from '../control/local-commands.ts';
import type { KeyCommands, NodeCommands } from '../control/node-commands.ts';
import { NoAnswerError, RemoteCommands } from '../control/remote-commands.ts';
import type { NodeOptions } from '../node-options.ts';
import { StorageNode } from '../storage-node.ts';
import type { CliIo } from './cli-io.ts';
import { KeyRing } from './key-ring.ts';
import { readRunFile, runFilePath, type RunningNode } from './running-file.ts';

/**
 * Lets the running node do a command, or opens the node for it: nothing is done then but that.
 *
 * @throws Error that names the process which has the node, if it cannot be asked
 */
export async function withNode<T>(
  data: string,
  options: NodeOptions,
  work: (commands: NodeCommands) => Promise<T>,
): Promise<T> {
  const directory = resolve(data);
  const running = await readRunFile(directory);
  let silence: NoAnswerError | undefined;
  if (running !== undefined) {
    try {
      return await work(new RemoteCommands(running));
    } catch (error) {
      if (!(error instanceof NoAnswerError)) throw error;
      silence = error;
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
      if (!(error instanceof NoAnswerError)) throw error;
      io.err(
        `Process ${running.pid} did not answer at ${running.control}: ${error.message}. If it is the ` +
          `node, it uses the key file as it is now after "kill -HUP ${running.pid}" or a restart.\n`,
      );
    }
  }
  return work(new KeyRing(directory));
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

export async function ensureData(data: string): Promise<string> {
  const directory = resolve(data);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return directory;
}
