import { expect, onTestFinished, test, vi } from 'vitest';
import type { BucketPolicy } from '../../examples/storage-node/src/ledger/bucket-record.ts';
import type { NodeOptions } from '../../examples/storage-node/src/node-options.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { volumeFileName } from '../../examples/storage-node/src/volumes/volume-set.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { Gate } from './support/gate.ts';
import { bytesOf, etagOf, expectSame, get, put, SMALL } from './support/nodes.ts';

async function open(
  files: CrashFs,
  options: NodeOptions = {},
  now: () => number = Date.now,
): Promise<StorageNode> {
  const node = await StorageNode.open(
    '/node',
    { ...SMALL, ...options },
    { ...MACHINE, files, now },
  );
  onTestFinished(() => node.close());
  return node;
}

async function namesOf(node: StorageNode, bucket: string): Promise<string[]> {
  return (await node.list(bucket)).objects.map(({ name }) => name);
}

test('objects whose time to live is over go with their volume, younger ones stay', async () => {
  const clock = { ms: 1_700_000_000_000 };
  const node = await open(new CrashFs(), {}, () => clock.ms);
  await node.createBucket('short', { mode: 'keep', ttlMs: 60_000 });
  await node.createBucket('b');
  await put(node, 'b', 'old', bytesOf(100));
  await put(node, 'short', 'old', bytesOf(100));
  await put(node, 'short', 'in extents', bytesOf(200_000));
  clock.ms += 60_000;
  await node.compact();
  expect(await namesOf(node, 'short')).toEqual(['in extents', 'old']);
  clock.ms += 1;
  await node.compact();
  expect(await namesOf(node, 'short')).toEqual([]);
  await put(node, 'short', 'young', bytesOf(100));
  clock.ms += 60_000;
  await put(node, 'short', 'younger', bytesOf(100));
  clock.ms += 59_000;
  await node.compact();
  // They are in one volume: it goes with its newest.
  expect(await namesOf(node, 'short')).toEqual(['young', 'younger']);
  clock.ms += 1_001;
  await node.compact();
  await node.settled();
  expect(await namesOf(node, 'short')).toEqual([]);
  expect(await namesOf(node, 'b')).toEqual(['old']);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 1 });
});

test('a volume of a time when the clock was ahead does not keep later ones', async () => {
  const clock = { ms: Date.UTC(2036, 0, 1) };
  const files = new CrashFs();
  const first = await open(files, {}, () => clock.ms);
  await first.createBucket('short', { mode: 'keep', ttlMs: 60_000 });
  await put(first, 'short', 'ahead', bytesOf(100));
  // It begins a new volume.
  await first.close();
  clock.ms = Date.UTC(2026, 0, 1);
  const node = await open(files, {}, () => clock.ms);
  await put(node, 'short', 'right', bytesOf(100));
  clock.ms += 60_001;
  await node.compact();
  expect(await namesOf(node, 'short')).toEqual(['ahead']);
  clock.ms = Date.UTC(2036, 0, 1) + 60_001;
  await node.compact();
  await node.settled();
  expect(await namesOf(node, 'short')).toEqual([]);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 0 });
});

test('a cache gives up its oldest volumes when the disk is short of space, and nothing else', async () => {
  const files = new CrashFs({ capacityBytes: 5 * 2 ** 20 });
  const options = { volumeBytes: 256 * 1024, indexVolumeBytes: 128 * 1024, reserveBytes: 2 ** 19 };
  const node = await open(files, options);
  await node.createBucket('cache', { mode: 'cache' });
  await node.createBucket('keep');
  const kept = bytesOf(200_000);
  await put(node, 'keep', 'first', kept);
  const names: string[] = [];
  for (let i = 0; i < 100; i++) {
    const name = `n${String(i).padStart(3, '0')}`;
    names.push(name);
    await put(node, 'cache', name, bytesOf(i % 7 === 0 ? 150_000 : 60_000));
    if (i % 3 === 0) await node.compact();
  }
  await node.compact();
  await node.settled();
  const left = await namesOf(node, 'cache');
  expect(left.length).toBeGreaterThan(10);
  expect(left.length).toBeLessThan(80);
  // The newest are left, without a hole: they went in the order in which they came.
  expect(left).toEqual(names.slice(-left.length));
  for (const name of left) expect(await get(node, 'cache', name)).toBeDefined();
  expectSame(await get(node, 'keep', 'first'), kept);
  expect((await node.figures()).space.freeBytes).toBeGreaterThan(2 ** 19);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: left.length + 1 });
});

/** The numbers and the bytes of a bucket's volumes, the oldest first. */
async function volumesOf(
  node: StorageNode,
  bucket: string,
): Promise<{ readonly numbers: readonly number[]; readonly bytes: number }> {
  await node.settled();
  const all = (await node.figures()).volumes.filter((one) => one.class === `bucket ${bucket}`);
  const numbers = all.map(({ number }) => number).sort((one, other) => one - other);
  return { numbers, bytes: all.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
}

test.each<[string, (files: CrashFs, path: string) => Promise<void> | void]>([
  [
    'the header of a record is damaged',
    async (files, path) => {
      const file = await files.open(path, 'r+');
      await file.write(Buffer.alloc(16, 'x'), 4096);
      await file.close();
    },
  ],
  [
    'the disk cannot read it',
    (files, path) => void files.faults.add({ call: 'read', path, mode: 'sticky' }),
  ],
])('a volume that cannot be dropped stops the eviction of no other: %s', async (_, damage) => {
  const files = new CrashFs();
  const node = await open(files);
  const quotaBytes = 512 * 1024;
  for (const bucket of ['a', 'b']) {
    await node.createBucket(bucket, { mode: 'quota', quotaBytes });
    for (let i = 0; i < 40; i++) await put(node, bucket, `n${i}`, bytesOf(20_000));
  }
  const oldest = (await volumesOf(node, 'a')).numbers[0]!;
  const path = `/node/volumes/${volumeFileName(oldest)}`;
  await damage(files, path);
  await node.compact();
  // The other bucket comes after it.
  expect((await volumesOf(node, 'b')).bytes).toBeLessThanOrEqual(quotaBytes);
  const reads = (): number => files.trace.filter((call) => call.path === path).length;
  const before = reads();
  await node.compact();
  // It is not read again, its bytes count, and later volumes go in its place.
  expect(reads()).toBe(before);
  const { numbers, bytes } = await volumesOf(node, 'a');
  expect(numbers[0]).toBe(oldest);
  expect(numbers.length).toBeGreaterThan(3);
  expect(bytes).toBeLessThanOrEqual(quotaBytes);
  const { recentErrors } = await node.figures();
  expect(recentErrors.length).toBeGreaterThan(0);
  expect(recentErrors.every(({ message }) => message.startsWith(`volume ${oldest},`))).toBe(true);
  // The scrub names it, and goes on.
  const { volumes, damages } = await node.scrub();
  expect(damages).toMatchObject([{ volume: oldest }]);
  expect(volumes).toBeGreaterThan(numbers.length);
});

/** Volumes of buckets that have their own. */
async function separateVolumes(node: StorageNode): Promise<number[]> {
  await node.settled();
  const { volumes } = await node.figures();
  return volumes.filter((one) => one.class.startsWith('bucket')).map(({ number }) => number);
}

test.each<[string, string, BucketPolicy]>([
  ['a cache', 'the same', { mode: 'cache' }],
  ['a bucket with a quota', 'the next', { mode: 'quota', quotaBytes: 2 ** 20 }],
  ['a bucket with a time to live', 'the same', { mode: 'keep', ttlMs: 60_000 }],
])('the volumes of %s that was deleted are removed in %s run', async (_, run, policy) => {
  const files = new CrashFs();
  const first = await open(files, { volumeBytes: 64 * 1024 });
  await first.createBucket('gone', policy);
  for (let i = 0; i < 5; i++) await put(first, 'gone', `n${i}`, bytesOf(30_000));
  for (let i = 0; i < 5; i++) await first.delete('gone', `n${i}`);
  const before = await separateVolumes(first);
  expect(before.length).toBeGreaterThan(2);
  await first.deleteBucket('gone');
  await first.settled();
  if (run === 'the next') await first.close();
  const node = run === 'the next' ? await open(files) : first;
  await node.compact();
  expect(await separateVolumes(node)).toEqual([]);
  const paths = new Set(before.map((number) => `/node/volumes/${volumeFileName(number)}`));
  const calls = files.trace.filter(({ path, outcome }) => paths.has(path) && outcome === 'ok');
  const opened = calls.filter(({ kind }) => kind === 'open');
  expect(calls.filter(({ kind }) => kind === 'close')).toHaveLength(opened.length);
});

test('PUTs that are under way when their bucket is deleted are refused, and leave no volume', async () => {
  const gate = new Gate();
  const files = new CrashFs({ scheduler: gate });
  const node = await open(files);
  onTestFinished(() => gate.openAll());
  await node.createBucket('gone', { mode: 'cache' });
  await node.settled();
  const release = gate.hold(/dataSync.*\.vol/);
  const refusal = { code: 'NO_SUCH_BUCKET' };
  const written = put(node, 'gone', 'n', bytesOf(1_000)).catch((error: unknown) => error);
  await vi.waitUntil(() => gate.waiting === 1);
  let goOn = (): void => {};
  const mayGoOn = new Promise<void>((resolve) => (goOn = resolve));
  const bytes = bytesOf(1_000);
  async function* slow(): AsyncGenerator<Uint8Array> {
    yield bytes;
    await mayGoOn;
  }
  const describe = () => ({ etag: etagOf(bytes), meta: { headers: {} } });
  const late = node.put('gone', 'late', slow(), { describe }).catch((error: unknown) => error);
  const deleted = node.deleteBucket('gone');
  await vi.waitUntil(() => node.bucket('gone') === undefined);
  release();
  await deleted;
  expect(await written).toMatchObject(refusal);
  goOn();
  expect(await late).toMatchObject(refusal);
  await node.settled();
  await node.compact();
  expect(await separateVolumes(node)).toEqual([]);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 0 });
});
