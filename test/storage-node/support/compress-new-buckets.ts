import type { StorageNode } from '../../../examples/storage-node/src/storage-node.ts';

/** Every bucket that S3 clients create is then compressed; they have no way to ask for it. */
export function compressNewBuckets(node: StorageNode): void {
  const create = node.createBucket.bind(node);
  node.createBucket = (name) => create(name, { mode: 'keep', compression: 'zstd' });
}
