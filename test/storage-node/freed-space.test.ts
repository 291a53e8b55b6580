import { expect, onTestFinished, test } from 'vitest';
import type { BucketPolicy } from '../../examples/storage-node/src/ledger/bucket-record.ts';
import type { NodeOptions } from '../../examples/storage-node/src/node-options.ts';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs, type CallScheduler } from '../../src/testing/index.ts';
import { bytesOf, expectSame, get, put, SMALL } from './support/nodes.ts';

const MIB = 2 ** 20;

async function openOn(
  files: CrashFs,
  options: NodeOptions = {},
  now = MACHINE.now,
): Promise<StorageNode> {
  const node = await StorageNode.open(
    '/node',
    { ...SMALL, ...options },
    { ...MACHINE, files, now },
  );
  onTestFinished(() => node.close());
  return node;
}

async function rounds(node: StorageNode, count: number, isUnread = true): Promise<void> {
  for (let i = 0; i < count; i++) {
    await node.compact();
    if (isUnread) await node.settled();
  }
}

async function namesOf(node: StorageNode, bucket: string): Promise<string[]> {
  return (await node.list(bucket)).objects.map(({ name }) => name);
}

const POLICIES: readonly [name: string, policy: BucketPolicy][] = [
  ['a time to live', { mode: 'keep', ttlMs: 1e12 }],
  ['a quota that is not reached', { mode: 'quota', quotaBytes: 2 ** 40 }],
];

test.each(POLICIES)('deletes of small objects give space back: %s', async (_, policy) => {
  const files = new CrashFs({ capacityBytes: 20 * MIB });
  const reserves = { reserveBytes: 3 * MIB, reserveFileBytes: 3 * MIB };
  const node = await openOn(files, { volumeBytes: 2 ** 30, ...reserves });
  await node.createBucket('b', policy);
  const bodies = new Map<string, Buffer>();
  let refusals: unknown[] = [];
  for (let i = 0; refusals.length === 0; i += 100) {
    const all = Array.from({ length: 100 }, (__, k) => ({
      name: `n${i + k}`,
      body: bytesOf(3_000),
    }));
    const results = await Promise.allSettled(
      all.map(({ name, body }) => put(node, 'b', name, body)),
    );
    for (const [k, { name, body }] of all.entries()) {
      if (results[k]!.status === 'fulfilled') bodies.set(name, body);
    }
    refusals = results.flatMap((one): unknown[] => (one.status === 'rejected' ? [one.reason] : []));
  }
  expect(refusals[0]).toMatchObject({ code: 'NO_SPACE' });
  await node.settled();
  const before = await files.freeBytes('/node');
  const gone = [...bodies.keys()].filter((__, i) => i % 10 !== 0);
  await Promise.all(gone.map((name) => node.delete('b', name)));
  for (const name of gone) bodies.delete(name);
  await rounds(node, 4);
  expect(await files.freeBytes('/node')).toBeGreaterThan(before + 3 * MIB);
  bodies.set('new', bytesOf(3_000));
  await put(node, 'b', 'new', bodies.get('new')!);
  for (const [name, body] of bodies) expectSame(await get(node, 'b', name), body);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: bodies.size });
});

test('copies of a volume of a bucket are evicted in its place, also after a restart', async () => {
  const files = new CrashFs();
  const first = await openOn(files);
  await first.createBucket('b', { mode: 'quota', quotaBytes: 2 ** 30 });
  const names = Array.from({ length: 40 }, (_, i) => `n${String(i).padStart(2, '0')}`);
  for (const name of names) await put(first, 'b', name, bytesOf(60_000));
  for (const name of names.slice(0, 13)) await first.delete('b', name);
  await rounds(first, 2);
  // The first volume had 17 objects.
  expect((await first.figures()).compaction.rescuedRecords).toBe(4);
  await first.close();
  const node = await openOn(files);
  await node.evict('b');
  expect(await namesOf(node, 'b')).toEqual(names.slice(17));
  await node.evict('b');
  expect(await namesOf(node, 'b')).toEqual(names.slice(34));
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 6 });
});

async function rebuilt(files: CrashFs): Promise<StorageNode> {
  await rebuildIndex('/node', SMALL, {}, { ...MACHINE, files });
  return openOn(files);
}

test('marks are not kept for ever by old volumes of live objects', async () => {
  const files = new CrashFs();
  const node = await openOn(files, { volumeBytes: 2 ** 18 });
  await node.createBucket('b');
  const kept = Array.from({ length: 25 }, (_, i) => `k${String(i).padStart(2, '0')}`);
  for (const name of kept) await put(node, 'b', name, bytesOf(20_000));
  for (let i = 0; i < 2_000; i += 100) {
    const names = Array.from({ length: 100 }, (_, k) => `${i + k}-`.padEnd(1_000, 'x'));
    await Promise.all(names.map((name) => put(node, 'b', name, bytesOf(1))));
    await Promise.all(names.map((name) => node.delete('b', name)));
  }
  await node.settled();
  const marks = async (): Promise<number> =>
    (await node.figures()).volumes.reduce((sum, { markBytes }) => sum + markBytes, 0);
  expect(await marks()).toBeGreaterThan(2 * MIB);
  await rounds(node, 4);
  expect(await marks()).toBeLessThan(1.1 * MIB);
  // Its record is in an old volume, and its mark in one that is compacted.
  await node.delete('b', kept[0]!);
  await node.settled();
  await rounds(node, 2);
  await node.close();
  expect(await namesOf(await rebuilt(files), 'b')).toEqual(kept.slice(1));
});

test('a mark moves with its volume while an older one may have what it is about', async () => {
  const files = new CrashFs();
  const node = await openOn(files, { volumeBytes: 2 ** 18 });
  await node.createBucket('b');
  const kept = Array.from({ length: 12 }, (_, i) => `k${String(i).padStart(2, '0')}`);
  for (const name of kept) await put(node, 'b', name, bytesOf(20_000));
  await node.settled();
  // The mark is in the volume of the objects that follow, all of which are deleted.
  await node.delete('b', kept[0]!);
  for (let i = 0; i < 24; i++) await put(node, 'b', `d${i}`, bytesOf(20_000));
  for (let i = 0; i < 24; i++) await node.delete('b', `d${i}`);
  await node.settled();
  await rounds(node, 3);
  expect((await node.figures()).compaction.retiredVolumes).toBeGreaterThan(0);
  await node.close();
  expect(await namesOf(await rebuilt(files), 'b')).toEqual(kept.slice(1));
});

test('marks that a volume which is still read needs are not copied again and again', async () => {
  const node = await openOn(new CrashFs());
  await node.createBucket('b', { mode: 'keep', ttlMs: 1e12 });
  const names = Array.from({ length: 20 }, (_, i) => `n${i}`);
  for (const name of names) await put(node, 'b', name, bytesOf(60_000));
  const reader = (await node.open('b', 'n0'))!;
  for (const name of names) await node.delete('b', name);
  for (let i = 0; i < 1_500; i += 100) {
    const long = Array.from({ length: 100 }, (_, k) => `${i + k}-`.padEnd(1_000, 'x'));
    await Promise.all(long.map((name) => put(node, 'b', name, bytesOf(1))));
    await Promise.all(long.map((name) => node.delete('b', name)));
  }
  await node.settled();
  await rounds(node, 4, false);
  const copies = async (): Promise<number> => (await node.figures()).compaction.rescuedRecords;
  const first = await copies();
  expect(first).toBeLessThan(4_000);
  await rounds(node, 4, false);
  expect(await copies()).toBe(first);
  for await (const piece of reader.body()) expect(piece.length).toBeGreaterThan(0);
  await rounds(node, 4);
  const marks = (await node.figures()).volumes.reduce((sum, { markBytes }) => sum + markBytes, 0);
  expect(marks).toBeLessThan(MIB);
});

test.each([
  ['that is too short', 8_192],
  ['with a damaged header, which every scrub finds again,', 0],
])('a volume %s is removed once nothing in it is live', async (_, cutBytes) => {
  const files = new CrashFs();
  const first = await openOn(files, { volumeBytes: 2 ** 18 });
  await first.createBucket('other');
  await first.createBucket('b', { mode: 'keep', ttlMs: 1e12 });
  for (let i = 0; i < 12; i++) await put(first, 'b', `n${i}`, bytesOf(50_000));
  await first.settled();
  await first.close();
  const name = (await files.readDirectory('/node/volumes')).map((one) => one.name).sort()[1]!;
  const number = Number(/\d+/.exec(name)![0]);
  const { sizeBytes } = await files.stat(`/node/volumes/${name}`);
  const file = await files.open(`/node/volumes/${name}`, 'r+');
  if (cutBytes > 0) await file.truncate(sizeBytes - cutBytes);
  // The first byte of the first record.
  else await file.write(new Uint8Array(1), 4_096);
  await file.close();
  const node = await openOn(files, { volumeBytes: 2 ** 18 });
  expect(node.recovery.shortVolumes).toEqual(cutBytes > 0 ? [number] : []);
  const { damages } = await node.scrub();
  expect(damages).not.toEqual([]);
  await rounds(node, 1);
  const numbers = async (): Promise<number[]> =>
    (await node.figures()).volumes.map((volume) => volume.number);
  expect(await numbers()).toContain(number);
  for (const each of await namesOf(node, 'b')) await node.delete('b', each);
  await rounds(node, 2);
  expect(await numbers()).not.toContain(number);
});

test('a quota is enforced between two volumes that are compacted', async () => {
  const watch: CallScheduler & { onCall: (label: string) => Promise<void> } = {
    turn: (label) => watch.onCall(label),
    onCall: async () => {},
  };
  const files = new CrashFs({ scheduler: watch });
  const node = await openOn(files, { compactBytesPerSecond: 0 });
  await node.createBucket('b');
  await node.createBucket('q', { mode: 'quota', quotaBytes: MIB });
  for (let i = 0; i < 60; i++) await put(node, 'b', `n${i}`, bytesOf(60_000));
  for (let i = 0; i < 60; i++) if (i % 5 !== 0) await node.delete('b', `n${i}`);
  await node.settled();
  let isStored = false;
  watch.onCall = async (label) => {
    if (isStored || !label.startsWith('read') || node.progress('compacting') === undefined) return;
    isStored = true;
    for (let i = 0; i < 40; i++) await put(node, 'q', `q${i}`, bytesOf(60_000));
  };
  await node.compact();
  expect(isStored).toBe(true);
  const bytes = (await node.figures()).volumes
    .filter((volume) => volume.class === 'bucket q' && volume.state !== 'retired')
    .reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  expect(bytes).toBeLessThanOrEqual(MIB);
});

test('a step of upkeep that fails does not keep the others from being done', async () => {
  const clock = { ms: 1_700_000_000_000 };
  const files = new CrashFs();
  const node = await openOn(files, {}, () => clock.ms);
  await node.createBucket('short', { mode: 'keep', ttlMs: 60_000 });
  await node.createBucket('b');
  await put(node, 'short', 'old', bytesOf(100));
  for (let i = 0; i < 40; i++) await put(node, 'b', `n${i}`, bytesOf(60_000));
  for (let i = 0; i < 40; i++) if (i > 0) await node.delete('b', `n${i}`);
  await node.settled();
  clock.ms += 60_001;
  const look = files.freeBytes.bind(files);
  let calls = 0;
  files.freeBytes = (path) => {
    calls++;
    return calls === 1 ? Promise.reject(new Error('the disk does not answer')) : look(path);
  };
  await expect(node.compact()).rejects.toThrow('the disk does not answer');
  await node.settled();
  expect(await namesOf(node, 'short')).toEqual([]);
  expect((await node.figures()).compaction.retiredVolumes).toBeGreaterThan(1);
});

test('with a time to live, objects go although later ones keep coming', async () => {
  const clock = { ms: 1_700_000_000_000 };
  const node = await openOn(new CrashFs(), {}, () => clock.ms);
  await node.createBucket('b', { mode: 'keep', ttlMs: 3_600_000 });
  for (let i = 0; i < 20; i++) {
    await put(node, 'b', `n${String(i).padStart(2, '0')}`, bytesOf(100));
    clock.ms += 600_000;
    await node.compact();
  }
  // The oldest is 70 minutes old at most: the time to live, and an eighth, and an interval.
  const names = await namesOf(node, 'b');
  expect(names.at(0)! >= 'n13').toBe(true);
  expect(names.at(-1)).toBe('n19');
});
