import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { NodeOptions } from '../node-options.ts';
import { StorageNode } from '../storage-node.ts';

/** Opens a stopped node for one command, without background work. */
export async function withNode<T>(
  data: string,
  options: NodeOptions,
  work: (node: StorageNode) => Promise<T>,
): Promise<T> {
  const node = await StorageNode.open(resolve(data), {
    ...options,
    upkeepMs: 0,
    scrubBytesPerSecond: 0,
  });
  try {
    return await work(node);
  } finally {
    await node.close();
  }
}

export async function ensureData(data: string): Promise<string> {
  const directory = resolve(data);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return directory;
}
