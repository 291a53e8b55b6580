import { expect, onTestFinished, test, vi } from 'vitest';
import type { BucketPolicy } from '../../examples/storage-node/src/ledger/bucket-record.ts';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { volumeFileName } from '../../examples/storage-node/src/volumes/volume-set.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { Gate } from './support/gate.ts';
import { bytesOf, etagOf, expectSame, get, put, SMALL } from './support/nodes.ts';

const VOLUME_SYNCS = /dataSync.*\.vol/;
const OPTIONS = { ...SMALL, volumeBytes: 64 * 1024, writeBufferMs: 0 };

async function openOn(files: CrashFs): Promise<StorageNode> {
  const node = await StorageNode.open('/node', OPTIONS, { ...MACHINE, files });
  onTestFinished(() => node.close());
  return node;
}

interface GatedNode {
  readonly node: StorageNode;
  readonly files: CrashFs;
  readonly gate: Gate;
}

async function openGated(): Promise<GatedNode> {
  const gate = new Gate();
  const files = new CrashFs({ scheduler: gate });
  const node = await openOn(files);
  onTestFinished(() => gate.openAll());
  return { node, files, gate };
}

const describeAs = (body: Uint8Array) => ({
  describe: () => ({ etag: etagOf(body), meta: { headers: {} } }),
});

/** Prepares a write of `n`. The result writes it, with a sync of a volume. */
type Write = (
  node: StorageNode,
  bucket: string,
  body: Buffer,
  more?: Pick<Parameters<StorageNode['put']>[3], 'condition'>,
) => Promise<() => Promise<unknown>>;

const putWrite: Write = async (node, bucket, body, more) => () =>
  put(node, bucket, 'n', body, undefined, more);

const bufferedWrite: Write = async (node, bucket, body) => {
  await put(node, bucket, 'n', body);
  return () => node.flush();
};

const uploadWrite: Write = async (node, bucket, body, { condition } = {}) => {
  const { uploadId } = await node.createUpload(bucket, 'n', { headers: {} });
  const part = await node.putPart(uploadId, 1, [body], describeAs(body));
  const { describe } = describeAs(body);
  return () => node.completeUpload(bucket, 'n', uploadId, [part], describe(), condition);
};

test.each<[string, Write, BucketPolicy]>([
  ['a PUT', putWrite, { mode: 'cache' }],
  ['a flush of a deferred PUT', bufferedWrite, { mode: 'cache', acknowledge: 'deferred' }],
  ['the completion of an upload', uploadWrite, { mode: 'cache' }],
])('an eviction beside %s of the name does not swallow it', async (_, write, policy) => {
  const { node, files, gate } = await openGated();
  await node.createBucket('cache', policy);
  await put(node, 'cache', 'n', bytesOf(30_000));
  await node.flush();
  // It does not fit into the volume of the first, so the oldest volume is sealed.
  await put(node, 'cache', 'newer', bytesOf(40_000));
  await node.flush();
  const body = bytesOf(2_000);
  const store = await write(node, 'cache', body);
  const release = gate.hold(VOLUME_SYNCS);
  const stored = store();
  await vi.waitUntil(() => gate.waiting === 1);
  expect(await node.evict('cache')).toBeDefined();
  expect((await node.list('cache')).objects.map(({ name }) => name)).toContain('newer');
  release();
  await stored;
  expectSame(await get(node, 'cache', 'n'), body);
  await node.settled();
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 2 });
  expectSame(await get(await openOn(files.minimalCrash()), 'cache', 'n'), body);
});

const ONLY_NEW = { condition: { ifNoneMatch: '*' as const } };

test.each<[string, Write]>([
  ['PUT', putWrite],
  ['completion of an upload', uploadWrite],
])(
  'a conditional %s that a delete has overtaken is refused, and can be repeated',
  async (_, write) => {
    const { node, files, gate } = await openGated();
    await node.createBucket('b');
    const [first, second] = [bytesOf(1_000), bytesOf(2_000)];
    const store = await write(node, 'b', second, ONLY_NEW);
    await node.settled();
    const releaseFirst = gate.hold(VOLUME_SYNCS);
    const storedFirst = put(node, 'b', 'n', first, undefined, ONLY_NEW);
    await vi.waitUntil(() => gate.waiting === 1);
    // It has its sequence, and is written with the next group.
    const refused = store().catch((error: unknown) => error);
    await new Promise((resolve) => setImmediate(resolve));
    const releaseSecond = gate.hold(VOLUME_SYNCS);
    releaseFirst();
    await storedFirst;
    await vi.waitUntil(() => gate.waiting === 1);
    expect(await node.delete('b', 'n')).toBe(true);
    releaseSecond();
    expect(await refused).toMatchObject({ code: 'PRECONDITION_FAILED' });
    expect(await node.info('b', 'n')).toBeUndefined();
    await node.settled();
    expect(await node.recount()).toMatchObject({ isExact: true, objects: 0 });
    // Its record was written: a rebuild passes it over.
    const crashed = files.minimalCrash();
    await rebuildIndex('/node', OPTIONS, {}, { ...MACHINE, files: crashed });
    expect(await (await openOn(crashed)).info('b', 'n')).toBeUndefined();
    await store();
    expectSame(await get(node, 'b', 'n'), second);
  },
);

interface HeldCompaction extends GatedNode {
  readonly compacted: Promise<number>;
  /** The file that takes new records. */
  readonly active: string;
  readonly release: () => void;
}

/** Compaction found `n` and the record of bucket `gone` live, and has not written its copies. */
async function holdCompaction(): Promise<HeldCompaction> {
  const gated = await openGated();
  const { node, gate } = gated;
  await node.createBucket('b');
  await node.createBucket('gone');
  await put(node, 'b', 'n', bytesOf(5_000));
  await put(node, 'b', 'dead', bytesOf(40_000));
  await put(node, 'b', 'in the next volume', bytesOf(20_000));
  await node.delete('b', 'dead');
  await node.settled();
  const volumes = (await node.figures()).volumes.filter((one) => one.class === 'object');
  expect(volumes.map(({ state }) => state)).toEqual(['sealed', 'active']);
  const release = gate.hold(VOLUME_SYNCS);
  const compacted = node.compact();
  await vi.waitUntil(() => gate.waiting === 1);
  return { ...gated, compacted, release, active: volumeFileName(volumes[1]!.number) };
}

async function rebuilt(node: StorageNode, files: CrashFs): Promise<StorageNode> {
  await node.settled();
  await node.close();
  await rebuildIndex('/node', OPTIONS, {}, { ...MACHINE, files });
  return openOn(files);
}

test('a copy that compaction loses to a delete does not outrank the next PUT of the name', async () => {
  const { node, files, gate, active, compacted, release } = await holdCompaction();
  await node.delete('b', 'n');
  // Its tombstone is being written, so the PUT is in the next group.
  await vi.waitUntil(() => gate.waiting === 2);
  const body = bytesOf(2_000);
  const stored = put(node, 'b', 'n', body);
  await new Promise((resolve) => setImmediate(resolve));
  const releasePut = gate.hold(new RegExp(`dataSync.*${active}`));
  release();
  await compacted;
  expect((await node.figures()).compaction.lostRecords).toBe(1);
  await vi.waitUntil(() => gate.waiting === 1);
  releasePut();
  await stored;
  const again = await rebuilt(node, files);
  expectSame(await get(again, 'b', 'n'), body);
  expect(await again.recount()).toMatchObject({ isExact: true, objects: 2 });
});

test('an object that is deleted while it is copied does not come back by a rebuild', async () => {
  const { node, files, active, compacted, release } = await holdCompaction();
  // The tombstone of the delete is lost.
  files.faults.add({ call: 'write', path: new RegExp(active) });
  await node.delete('b', 'n');
  await vi.waitUntil(async () => (await node.figures()).recentErrors.length === 1);
  release();
  await compacted;
  expect((await node.figures()).compaction.lostRecords).toBe(1);
  const again = await rebuilt(node, files);
  expect(await again.info('b', 'n')).toBeUndefined();
});

test('a bucket that is deleted while its record is copied does not come back by a rebuild', async () => {
  const { node, files, active, compacted, release } = await holdCompaction();
  files.faults.add({ call: 'write', path: new RegExp(active) });
  await node.deleteBucket('gone');
  await vi.waitUntil(async () => (await node.figures()).recentErrors.length === 1);
  release();
  await compacted;
  expect((await node.figures()).compaction.lostRecords).toBe(1);
  const again = await rebuilt(node, files);
  expect(again.buckets().map(({ name }) => name)).toEqual(['b']);
});
