import { createHash, randomBytes } from 'node:crypto';
import { expect, onTestFinished } from 'vitest';
import type { NodeOptions } from '../../../examples/storage-node/src/node-options.ts';
import type { ObjectMeta } from '../../../examples/storage-node/src/object-node.ts';
import { StorageNode } from '../../../examples/storage-node/src/storage-node.ts';

/** No automatic upkeep, small volumes. */
export const SMALL: NodeOptions = {
  volumeBytes: 2 ** 20,
  indexVolumeBytes: 2 ** 18,
  extentBytes: 2 ** 16,
  queueBytes: 2 ** 20,
  reserveBytes: 0,
  reserveFileBytes: 0,
  upkeepMs: 0,
};

export async function openNode(directory: string, options: NodeOptions = {}): Promise<StorageNode> {
  const node = await StorageNode.open(directory, { ...SMALL, ...options });
  onTestFinished(() => node.close());
  return node;
}

export function etagOf(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex');
}

export function bytesOf(count: number): Buffer {
  return randomBytes(count);
}

export async function put(
  node: StorageNode,
  bucket: string,
  name: string,
  bytes: Uint8Array,
  meta: ObjectMeta = { headers: {} },
  more: Partial<Parameters<StorageNode['put']>[3]> = {},
): ReturnType<StorageNode['put']> {
  return node.put(bucket, name, [bytes], {
    describe: () => ({ etag: etagOf(bytes), meta }),
    ...more,
  });
}

export async function get(
  node: StorageNode,
  bucket: string,
  name: string,
  range?: { readonly startBytes: number; readonly endBytes: number },
): Promise<Buffer | undefined> {
  const reader = await node.open(bucket, name);
  if (reader === undefined) return undefined;
  const pieces: Uint8Array[] = [];
  for await (const piece of reader.body(range)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Compares bytes; `toEqual` would take seconds for a megabyte. */
export function expectSame(found: Uint8Array | undefined, expected: Uint8Array): void {
  expect(found?.length).toBe(expected.length);
  expect(Buffer.compare(found!, expected)).toBe(0);
}
