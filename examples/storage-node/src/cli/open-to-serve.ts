import { textOfBytes } from '../byte-text.ts';
import type { NodeOptions } from '../node-options.ts';
import type { NodeRecovery } from '../opening.ts';
import { StorageNode } from '../storage-node.ts';
import type { LogLines } from './log-lines.ts';
import { readRunFile } from './running-file.ts';

/** @throws Error that says where the node is served already; the errors of `StorageNode.open` */
export async function openToServe(
  directory: string,
  options: NodeOptions,
  log: LogLines,
  onFailed: (error: Error) => void,
): Promise<StorageNode> {
  try {
    return await StorageNode.open(directory, {
      ...options,
      onError: ({ message }) => log.sayOnce(message, message),
      onNotice: (text) => log.say(text),
      onFailed,
    });
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'LODESTORE_LOCKED') throw error;
    const running = await readRunFile(directory);
    if (running === undefined) throw error;
    const { endpoint, status, pid } = running;
    const text = `the node in ${directory} is already served: S3 ${endpoint}, status page ${status}, process ${pid}`;
    throw new Error(text, { cause: error });
  }
}

/** What a start after a kill found. */
export function recoveryText({ cutBytes, milliseconds }: NodeRecovery): string {
  const opened = `the node was not stopped; opened in ${Math.ceil(milliseconds)} ms`;
  if (cutBytes === 0) return opened;
  return `${opened}, ${textOfBytes(cutBytes)} of unacknowledged writes removed`;
}
