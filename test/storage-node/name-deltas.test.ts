import { expect, onTestFinished, test } from 'vitest';
import {
  deltaKey,
  lowerOf,
  MAX_DELTA,
  rangeOf,
} from '../../examples/storage-node/src/ledger/keys.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { MetadataStore } from '../../src/index.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { bytesOf, expectSame, get, openNode, put, SMALL } from './support/nodes.ts';

async function namesOf(node: StorageNode): Promise<string[]> {
  const { objects } = await node.list('b');
  return objects.map(({ name }) => name);
}

test('a listing has the changes since the last fold, counted or not, after folds and opens', async () => {
  const directory = await temporaryDirectory();
  const expected = new Set<string>();
  const change = async (node: StorageNode, names: readonly string[]): Promise<void> => {
    await Promise.all(
      names.map(async (name, i) => {
        if (i % 5 === 4 && expected.has(name)) {
          expected.delete(name);
          await node.delete('b', name);
        } else {
          expected.add(name);
          await put(node, 'b', name, bytesOf(10));
        }
      }),
    );
  };
  const name = (i: number): string => `n${(i * 37) % 600}`;
  // 64 changes of a leaf are folded: each round ends before, at or behind the next fold.
  let at = 0;
  for (const count of [10, 60, 63, 64, 65, 200, 3]) {
    const node = await openNode(directory);
    if (at === 0) await node.createBucket('b');
    expect(await namesOf(node)).toEqual([...expected].sort());
    const names = Array.from({ length: count }, (_, i) => name(at + i));
    at += count;
    await change(node, names);
    expect(await namesOf(node)).toEqual([...expected].sort());
    await node.settled();
    expect(await namesOf(node)).toEqual([...expected].sort());
    await node.close();
  }
});

test('a block of names without room for another change refuses it, and leaves other blocks alone', async () => {
  const environment = { ...MACHINE, files: new CrashFs() };
  const first = await StorageNode.open('/node', SMALL, environment);
  for (const bucket of ['b', 'other']) await first.createBucket(bucket);
  await put(first, 'b', 'n', bytesOf(10));
  await first.close();
  const store = await MetadataStore.open('/node/metadata', { fileSystem: environment.files });
  const [leaf = 0n] = [...store.keys(rangeOf('leaf'))].map(lowerOf);
  await store.put(deltaKey(Number(leaf), MAX_DELTA), 2n, Buffer.from('gone'));
  await store.close();
  const node = await StorageNode.open('/node', SMALL, environment);
  onTestFinished(() => node.close());
  const refusal = { code: 'DAMAGED' };
  await expect(put(node, 'b', 'new', bytesOf(10))).rejects.toMatchObject(refusal);
  await expect(node.delete('b', 'n')).rejects.toMatchObject(refusal);
  // It needs no change of the names.
  const body = bytesOf(20);
  await put(node, 'b', 'n', body);
  await put(node, 'other', 'n', body);
  expect((await node.list('other')).objects).toHaveLength(1);
  for (const bucket of ['b', 'other']) expectSame(await get(node, bucket, 'n'), body);
  await node.settled();
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 2 });
});
