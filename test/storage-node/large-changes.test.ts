import { expect, onTestFinished, test } from 'vitest';
import { extentKey, rangeOf } from '../../examples/storage-node/src/ledger/keys.ts';
import { Turn } from '../../examples/storage-node/src/ledger/publisher.ts';
import { encodeExtent } from '../../examples/storage-node/src/objects/content-record.ts';
import type { NodeParts } from '../../examples/storage-node/src/objects/node-parts.ts';
import { Publication } from '../../examples/storage-node/src/objects/publication.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { handleOf } from '../../examples/storage-node/src/volumes/handle.ts';
import type { MetadataStore } from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { bytesOf, etagOf, put, SMALL } from './support/nodes.ts';

const NO_META = { headers: {} };

async function openNode(files: CrashFs): Promise<StorageNode> {
  const node = await StorageNode.open('/node', SMALL, { ...MACHINE, files });
  onTestFinished(() => node.close());
  await node.createBucket('b');
  return node;
}

async function uploadOfParts(node: StorageNode, name: string, parts: number): Promise<void> {
  const { uploadId } = await node.createUpload('b', name, NO_META);
  for (let number = 1; number <= parts; number++) {
    const bytes = bytesOf(5_000 + number);
    const describe = () => ({ etag: etagOf(bytes), meta: NO_META });
    await node.putPart(uploadId, number, [bytes], { describe });
  }
}

/** Keys of a space in the metadata of a node that was closed. */
async function countOf(files: CrashFs, space: Parameters<typeof rangeOf>[0]): Promise<number> {
  const store = await openOn(files, '/node/metadata', {});
  try {
    return await store.count(rangeOf(space));
  } finally {
    await store.close();
  }
}

test('the extents of a body are deleted by one update, however many they are', () => {
  const extent = { bodyBytes: 1, lengthBytes: 8, sizeBytes: 1, flags: 0 };
  const record = { value: handleOf(1, 4_096), data: encodeExtent(extent) };
  const turn = new Turn({ get: () => record } as unknown as MetadataStore);
  const volumes = { get: () => undefined };
  const publication = new Publication({ volumes } as unknown as NodeParts);
  publication.buryExtents(turn, 7, 60_000);
  expect(turn.batch.byteLength).toBeLessThan(100);
  // A change after it in the same turn does not move what is gone.
  expect(turn.get(extentKey(7, 59_999))).toBeUndefined();
  expect(turn.get(extentKey(7, 60_000))).toEqual(record);
  // A short range would cost more than its extents.
  publication.buryExtents(turn, 8, 1);
  expect(turn.batch.byteLength).toBeLessThan(120);
});

test('a bucket is deleted with its incomplete uploads, one by one', async () => {
  const files = new CrashFs();
  const node = await openNode(files);
  for (const name of ['x', 'y', 'z']) await uploadOfParts(node, name, 3);
  await node.settled();
  const before = node.changes;
  await node.deleteBucket('b');
  expect(node.changes - before).toBeGreaterThanOrEqual(4);
  await node.settled();
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 0 });
  await node.close();
  for (const space of ['upload', 'part', 'extent'] as const) {
    expect(await countOf(files, space)).toBe(0);
  }
});

test('a bucket that has an object keeps its incomplete uploads', async () => {
  const node = await openNode(new CrashFs());
  await put(node, 'b', 'x', bytesOf(10));
  await uploadOfParts(node, 'y', 1);
  await expect(node.deleteBucket('b')).rejects.toMatchObject({ code: 'BUCKET_NOT_EMPTY' });
  expect((await node.uploads('b')).uploads).toHaveLength(1);
});

test('a bucket that had many objects is deleted with all that its names left', async () => {
  const files = new CrashFs();
  const node = await openNode(files);
  const names = Array.from({ length: 300 }, (_, i) => `n${i}`);
  for (const name of names) await put(node, 'b', name, bytesOf(10));
  for (const name of names) await node.delete('b', name);
  await node.settled();
  // Too few to be folded.
  for (let i = 0; i < 3; i++) await put(node, 'b', `m${i}`, bytesOf(10));
  for (let i = 0; i < 3; i++) await node.delete('b', `m${i}`);
  await node.deleteBucket('b');
  await node.settled();
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 0 });
  await node.close();
  expect(await countOf(files, 'leaf')).toBe(0);
  expect(await countOf(files, 'delta')).toBe(0);
});
