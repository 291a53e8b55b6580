import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ObjectNode } from '../../../examples/storage-node/src/object-node.ts';
import { StorageNode } from '../../../examples/storage-node/src/storage-node.ts';
import { isFull } from '../../support/effort.ts';
import { compressNewBuckets } from './compress-new-buckets.ts';
import { MemoryNode } from './memory-node.ts';

export interface OpenNode {
  readonly node: ObjectNode;
  close(): Promise<void>;
}

type NamedOpen = readonly [name: string, open: () => Promise<OpenNode>];

/** In a full run, also a node that compresses. */
export const STORAGE_NODES: readonly NamedOpen[] = [
  ['a storage node', openStorageNode],
  ...(isFull ? [['a storage node that compresses', openCompressedNode] as const] : []),
];

/** The nodes that the protocol tests run against, by name. */
export const NODES: readonly NamedOpen[] = [
  ['a node in memory', async () => ({ node: new MemoryNode(), close: async () => {} })],
  ...STORAGE_NODES,
];

async function openCompressedNode(): Promise<OpenNode> {
  const opened = await openStorageNode();
  compressNewBuckets(opened.node);
  return opened;
}

/** A node in a temporary directory, which is removed when it is closed. */
export async function openStorageNode(): Promise<OpenNode & { readonly node: StorageNode }> {
  const directory = await mkdtemp(join(tmpdir(), 'lodestore-node-'));
  const node = await StorageNode.open(directory);
  const close = async (): Promise<void> => {
    await node.close();
    await rm(directory, { recursive: true });
  };
  return { node, close };
}
