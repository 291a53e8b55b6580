import { expect, test } from 'vitest';
import { FoldQueue } from '../../examples/storage-node/src/names/fold-queue.ts';
import type { IndexParts, LeafSource } from '../../examples/storage-node/src/names/index-parts.ts';
import { LeafDirectory, type Leaf } from '../../examples/storage-node/src/names/leaf-directory.ts';
import { Appended } from '../../examples/storage-node/src/volumes/group-writer.ts';
import { Volume } from '../../examples/storage-node/src/volumes/volume.ts';

function leafOf(id: number, bucketId: number, low = ''): Leaf {
  return {
    id,
    bucketId,
    low,
    handle: (1n << 40n) + BigInt(id),
    lengthBytes: 4096,
    deltas: 4,
    firstDelta: 1,
    nextDelta: 5,
    isFolding: false,
  };
}

/** A queue over these leaves, each with one name and one delta. Damaged ones cannot be read. */
function queueOf(leaves: readonly Leaf[], ...damagedIds: readonly number[]) {
  const damaged = new Set(damagedIds);
  const told: string[] = [];
  const directory = new LeafDirectory();
  directory.load(leaves);
  const volume = new Volume({
    number: 2,
    kind: 'index',
    bucketId: 0,
    createdMs: 0,
    state: 'active',
    liveBytes: 0,
    endBytes: 4096,
    newestMs: 0,
    markBytes: 0,
  });
  const commits: (() => void)[] = [];
  const turn = {
    batch: { put: () => {}, delete: () => {} },
    revive: () => {},
    onCommit: (done: () => void) => commits.push(done),
  };
  const publisher = {
    submit: async (change: (given: typeof turn) => void) => {
      change(turn);
      for (const done of commits.splice(0)) done();
    },
  };
  const reader = {
    names: async ({ id, low }: Leaf) => {
      if (damaged.has(id)) throw new Error(`leaf ${id} is damaged`);
      return [`${low}x`];
    },
    keep: () => {},
  };
  const parts = {
    publisher,
    counters: { takeSerial: () => 1, takeLeaf: () => 1_000 },
    shape: { foldDeltas: 4, names: 100 },
    append: async ({ length }: Buffer) => new Appended(volume, 4096, length, 8192),
    onError: (error: unknown) => told.push((error as Error).message),
  };
  const deltasOf = ({ low }: Leaf) => [{ number: 1, name: `${low}y`, isThere: true }];
  const index = { directory, reader, deltasOf, bury: () => {} };
  const queue = new FoldQueue(parts as unknown as IndexParts, index as unknown as LeafSource);
  /** The leaves become due together. */
  const fold = async (...due: readonly Leaf[]): Promise<void> => {
    for (const leaf of due) queue.add(leaf);
    await queue.idle();
  };
  return { damaged, told, directory, queue, fold };
}

test('a leaf that cannot be read does not keep the others of its group from being folded', async () => {
  const leaves = [1, 2, 3].map((id) => leafOf(id, id));
  const { queue, told, fold, directory } = queueOf(leaves, 2);
  await fold(...leaves);
  expect(queue.figures).toMatchObject({ folds: 2, failed: 1 });
  expect(told).toEqual(['leaf 2 is damaged']);
  expect([1, 2, 3].map((id) => directory.leavesOf(id)[0]?.deltas)).toEqual([0, 4, 0]);
});

test('a leaf that could not be read is tried again when it has twice as many deltas', async () => {
  const leaf = leafOf(1, 1);
  const { queue, damaged, told, fold } = queueOf([leaf], 1);
  for (; leaf.deltas < 40; leaf.deltas++) await fold(leaf);
  // At 4, 8, 16 and 32 deltas.
  expect(told).toHaveLength(4);
  damaged.clear();
  await fold(leaf);
  expect(queue.figures.folds).toBe(0);
  leaf.deltas = 64;
  await fold(leaf);
  expect(queue.figures).toMatchObject({ folds: 1, failed: 4 });
});

test('a leaf whose neighbour cannot be read is folded alone', async () => {
  const leaves = [leafOf(1, 1), leafOf(2, 1, 'm')];
  const { queue, told, fold, directory } = queueOf(leaves, 1);
  await fold(leaves[1]!);
  expect(queue.figures).toMatchObject({ folds: 1, joins: 0, failed: 0 });
  expect(told).toEqual([]);
  expect(directory.leavesOf(1).map(({ deltas }) => deltas)).toEqual([4, 0]);
  expect(leaves.map(({ isFolding }) => isFolding)).toEqual([false, false]);
});
