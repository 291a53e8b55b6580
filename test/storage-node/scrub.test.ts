import { expect, onTestFinished, test } from 'vitest';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { volumeFileName } from '../../examples/storage-node/src/volumes/volume-set.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { bytesOf, get, put, SMALL } from './support/nodes.ts';

async function openOn(files: CrashFs): Promise<StorageNode> {
  const node = await StorageNode.open('/node', SMALL, { ...MACHINE, files });
  onTestFinished(() => node.close());
  return node;
}

test.each(['active', 'sealed'])(
  'scrub finds a group of an %s volume that reads as zeros',
  async (state) => {
    const files = new CrashFs();
    let node = await openOn(files);
    await node.createBucket('b');
    for (let i = 0; i < 5; i++) await put(node, 'b', `n${i}`, bytesOf(1_000));
    if (state === 'sealed') {
      for (let i = 0; i < 20; i++) await put(node, 'b', `more-${i}`, bytesOf(100_000));
      await node.close();
      node = await openOn(files);
    }
    expect((await node.scrub()).damages).toEqual([]);
    const file = await files.open(`/node/volumes/${volumeFileName(1)}`, 'r+');
    await file.write(Buffer.alloc(4_096), 3 * 4_096);
    await file.close();
    const names = ['n0', 'n1', 'n2', 'n3', 'n4'];
    const found = await Promise.allSettled(names.map((name) => get(node, 'b', name)));
    const lost = names.filter((_, i) => found[i]!.status === 'rejected');
    expect(lost).toHaveLength(1);
    const { damages } = await node.scrub();
    expect(damages).toMatchObject([
      {
        volume: 1,
        reason: expect.stringMatching(/live bytes are not where they were stored$/) as string,
      },
    ]);
    // Overwritten, it is no longer missing.
    await put(node, 'b', lost[0]!, bytesOf(1_000));
    expect((await node.scrub()).damages).toEqual([]);
  },
);

test('scrub reports no damage beside writers, deletes and compaction', async () => {
  const files = new CrashFs();
  const node = await openOn(files);
  await node.createBucket('b');
  const over = new AbortController();
  const write = async (who: number): Promise<void> => {
    for (let i = 0; !over.signal.aborted; i++) {
      await put(node, 'b', `n${who}-${i % 20}`, bytesOf(3_000));
      if (i % 3 === 0) await node.delete('b', `n${who}-${(i * 7) % 20}`);
      if (i % 50 === 49) await node.compact();
    }
  };
  const writers = Promise.all([0, 1, 2, 3].map(write));
  for (let i = 0; i < 40; i++) expect((await node.scrub()).damages).toEqual([]);
  over.abort();
  await writers;
});
