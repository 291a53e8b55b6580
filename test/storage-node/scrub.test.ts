import { expect, onTestFinished, test, vi } from 'vitest';
import type { NodeOptions } from '../../examples/storage-node/src/node-options.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { volumeFileName } from '../../examples/storage-node/src/volumes/volume-set.ts';
import { CrashFs, type CallScheduler } from '../../src/testing/index.ts';
import { bytesOf, get, put, SMALL } from './support/nodes.ts';

async function openOn(files: CrashFs, more: NodeOptions = {}): Promise<StorageNode> {
  const node = await StorageNode.open('/node', { ...SMALL, ...more }, { ...MACHINE, files });
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

/** A node with a volume that compaction could not read. */
async function unreadVolume(files: CrashFs, told: string[]): Promise<StorageNode> {
  const node = await openOn(files, { onError: ({ message }) => void told.push(message) });
  await node.createBucket('b');
  for (let i = 0; i < 20; i++) await put(node, 'b', `n${i}`, bytesOf(60_000));
  for (let i = 1; i < 15; i++) await node.delete('b', `n${i}`);
  await node.settled();
  const path = `/node/volumes/${volumeFileName(1)}`;
  files.faults.add({ call: 'read', error: 'EIO', path, mode: 'sticky' });
  await node.compact();
  expect(told).toEqual([expect.stringMatching(/^volume 1, .*: the disk cannot read it$/)]);
  files.faults.clear();
  await node.compact();
  expect((await node.figures()).compaction.retiredVolumes).toBe(0);
  return node;
}

test('a volume that could not be read for a while is compacted after a scrub', async () => {
  const files = new CrashFs();
  const node = await unreadVolume(files, []);
  expect((await node.scrub()).damages).toEqual([]);
  await node.compact();
  await node.settled();
  expect((await node.figures()).compaction.retiredVolumes).toBe(1);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 6 });
});

test('damage that a scrub has found to be mended is reported when it is there again', async () => {
  const files = new CrashFs();
  const told: string[] = [];
  const node = await unreadVolume(files, told);
  await node.scrub();
  const path = `/node/volumes/${volumeFileName(1)}`;
  files.faults.add({ call: 'read', error: 'EIO', path, mode: 'sticky' });
  await node.compact();
  expect(told).toHaveLength(2);
  expect(told[1]).toBe(told[0]);
});

test.each(['a live object', 'the header of a dead record', 'a tombstone'])(
  'a volume with damage in %s stays as it is after a scrub',
  async (what) => {
    const files = new CrashFs();
    const node = await unreadVolume(files, []);
    // The tombstones stand behind the objects.
    const { sizeBytes } = await files.stat(`/node/volumes/${volumeFileName(1)}`);
    const offsets = { 'a live object': 8_192, 'the header of a dead record': 8_192 + 2 * 61_440 };
    const offset = offsets[what as keyof typeof offsets] ?? sizeBytes - 4_096;
    const file = await files.open(`/node/volumes/${volumeFileName(1)}`, 'r+');
    await file.write(Buffer.alloc(100, 'x'), offset);
    await file.close();
    await node.scrub();
    await node.compact();
    await node.settled();
    expect((await node.figures()).compaction.retiredVolumes).toBe(0);
  },
);

test('the daily scrub continues after a restart, and begins anew a day after its end', async () => {
  const watch: CallScheduler & { onCall: (label: string) => void } = {
    turn: (label) => Promise.resolve(watch.onCall(label)),
    onCall: () => {},
  };
  const files = new CrashFs({ scheduler: watch });
  const clock = { ms: 1_700_000_000_000 };
  const filled = await openOn(files);
  await filled.createBucket('b');
  for (let i = 0; i < 80; i++) await put(filled, 'b', `n${i}`, bytesOf(60_000));
  const numbers = (await filled.figures()).volumes.map(({ number }) => number);
  numbers.sort((one, other) => one - other);
  expect(numbers).toHaveLength(6);
  await filled.close();
  /** The volumes that are scrubbed until the node is closed: in one of them, or after the pass. */
  const scrubbed = async (last: number | 'end' | 'none is due'): Promise<number[]> => {
    const options = { ...SMALL, upkeepMs: 5, scrubBytesPerSecond: 2 ** 50 };
    const environment = { ...MACHINE, files, now: () => clock.ms };
    const node = await StorageNode.open('/node', options, environment);
    onTestFinished(() => node.close());
    const before = (await node.figures()).scrub.finishedMs;
    const found = new Set<number>();
    let closed: Promise<void> | undefined;
    watch.onCall = (label) => {
      const volume = node.progress('scrubbing')?.volume;
      if (volume === undefined || !label.startsWith('read')) return;
      found.add(volume);
      if (volume === last) closed ??= node.close();
    };
    let rounds = 0;
    await vi.waitUntil(async () => {
      rounds++;
      if (last === 'none is due') return rounds > 4;
      if (last !== 'end') return closed !== undefined;
      return (await node.figures()).scrub.finishedMs !== before;
    }, 20_000);
    watch.onCall = () => {};
    await node.close();
    return [...found];
  };
  expect(await scrubbed(numbers[2]!)).toEqual(numbers.slice(0, 3));
  expect(await scrubbed(numbers[4]!)).toEqual(numbers.slice(2, 5));
  expect(await scrubbed('end')).toEqual(numbers.slice(4));
  clock.ms += 3_600_000;
  expect(await scrubbed('none is due')).toEqual([]);
  clock.ms += 24 * 3_600_000;
  expect(await scrubbed('end')).toEqual(numbers);
});
