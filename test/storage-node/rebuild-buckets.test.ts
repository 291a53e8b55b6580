import { expect, onTestFinished, test } from 'vitest';
import type { Publisher } from '../../examples/storage-node/src/ledger/publisher.ts';
import { NoSpaceError } from '../../examples/storage-node/src/node-errors.ts';
import { checkedOptions } from '../../examples/storage-node/src/node-options.ts';
import { BucketKeeper } from '../../examples/storage-node/src/objects/bucket-keeper.ts';
import type { MarkFields, Marks } from '../../examples/storage-node/src/objects/marks.ts';
import type { Uploads } from '../../examples/storage-node/src/objects/uploads.ts';
import type { WriteBuffer } from '../../examples/storage-node/src/objects/write-buffer.ts';
import { openParts } from '../../examples/storage-node/src/opening.ts';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { volumeFileName } from '../../examples/storage-node/src/volumes/volume-set.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { get, put, SMALL } from './support/nodes.ts';

const TOMBSTONE = 4;

async function openOn(files: CrashFs): Promise<StorageNode> {
  const node = await StorageNode.open('/node', SMALL, { ...MACHINE, files });
  onTestFinished(() => node.close());
  return node;
}

/** Overwrites all tombstones of volume 1 with zeros, as if a crash had lost them. */
async function loseTombstones(files: CrashFs): Promise<number> {
  const path = `/node/volumes/${volumeFileName(1)}`;
  const file = await files.open(path, 'r+');
  const bytes = Buffer.alloc((await files.stat(path)).sizeBytes);
  await file.read(bytes, 0);
  let count = 0;
  for (let at = bytes.indexOf('LDRC'); at >= 0; at = bytes.indexOf('LDRC', at + 4)) {
    if (bytes[at + 8] !== TOMBSTONE) continue;
    await file.write(Buffer.alloc(64), at);
    count++;
  }
  await file.close();
  return count;
}

async function rebuilt(files: CrashFs): Promise<StorageNode> {
  await rebuildIndex('/node', SMALL, {}, { ...MACHINE, files });
  return openOn(files);
}

test('of two buckets of one name, a rebuild keeps the one with objects', async () => {
  const files = new CrashFs();
  const node = await openOn(files);
  const made = await Promise.all([node.createBucket('b'), node.createBucket('b')]);
  expect(made.toSorted()).toEqual([false, true]);
  await put(node, 'b', 'x', Buffer.from('x'));
  await node.settled();
  await node.close();
  expect(await loseTombstones(files)).toBe(1);
  const again = await rebuilt(files);
  expect(again.buckets().map(({ name }) => name)).toEqual(['b']);
  expect(String(await get(again, 'b', 'x'))).toBe('x');
  expect(await again.recount()).toMatchObject({ isExact: true });
});

test('a rebuild names a second bucket with objects after its number', async () => {
  const files = new CrashFs();
  const node = await openOn(files);
  await node.createBucket('b');
  await put(node, 'b', 'old', Buffer.from('old'));
  await node.delete('b', 'old');
  await node.deleteBucket('b');
  await node.createBucket('b');
  for (const name of ['x', 'y']) await put(node, 'b', name, Buffer.from(name));
  await node.settled();
  await node.close();
  expect(await loseTombstones(files)).toBe(2);
  const again = await rebuilt(files);
  expect(again.buckets().map(({ name }) => name)).toEqual(['b', 'recovered-1']);
  expect(String(await get(again, 'b', 'x'))).toBe('x');
  expect(String(await get(again, 'recovered-1', 'old'))).toBe('old');
});

test('a creation of a bucket that is refused writes a tombstone', async () => {
  const files = new CrashFs();
  const options = checkedOptions(SMALL);
  const { parts } = await openParts('/node', options, { ...MACHINE, files });
  const refusal = new NoSpaceError(0, 0);
  const publisher = { submit: () => Promise.reject(refusal) } as unknown as Publisher;
  const marks: MarkFields[] = [];
  const keeper = new BucketKeeper(
    { ...parts, publisher },
    {} as Uploads,
    { tombstone: (fields: MarkFields) => marks.push(fields) } as unknown as Marks,
    {} as WriteBuffer,
  );
  await expect(keeper.create('b')).rejects.toBe(refusal);
  expect(marks).toMatchObject([{ bucket: { id: 1 } }]);
  await parts.writers.close();
  await parts.volumes.close();
  await parts.store.close();
});
