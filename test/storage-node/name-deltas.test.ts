import { expect, test } from 'vitest';
import type { StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { bytesOf, openNode, put } from './support/nodes.ts';

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
