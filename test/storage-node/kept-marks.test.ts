import { expect, onTestFinished, test, vi } from 'vitest';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { Gate } from './support/gate.ts';
import { bytesOf, expectSame, get, put, SMALL } from './support/nodes.ts';

/** A volume has one large object and a few small ones. */
const OPTIONS = { ...SMALL, volumeBytes: 64 * 1024, writeBufferMs: 0 };
const METADATA = /metadata/;

async function openGated(): Promise<{ gate: Gate; files: CrashFs; node: StorageNode }> {
  const gate = new Gate();
  const files = new CrashFs({ scheduler: gate });
  const node = await StorageNode.open('/node', OPTIONS, { ...MACHINE, files });
  onTestFinished(() => gate.openAll());
  await node.createBucket('b');
  return { gate, files, node };
}

async function volumesOf(node: StorageNode): Promise<number[]> {
  const { volumes } = await node.figures();
  const ofObjects = volumes.filter((one) => one.class === 'object');
  return ofObjects.map(({ number }) => number).sort((one, other) => one - other);
}

async function namesAfterRebuild(files: CrashFs): Promise<string[]> {
  await rebuildIndex('/node', OPTIONS, {}, { ...MACHINE, files });
  const node = await StorageNode.open('/node', OPTIONS, { ...MACHINE, files });
  const names = (await node.list('b')).objects.map(({ name }) => name);
  expect(await node.recount()).toMatchObject({ isExact: true });
  await node.close();
  return names;
}

/** Enough turns for everything that waits for no gate. */
function someTurns(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}

test('compaction copies a tombstone while an older volume may hold its object', async () => {
  const { files, node } = await openGated();
  await put(node, 'b', 'x', bytesOf(5_000));
  await put(node, 'b', 'kept', bytesOf(40_000));
  await put(node, 'b', 'd', bytesOf(45_000));
  await node.delete('b', 'x');
  await node.settled();
  await node.delete('b', 'd');
  await node.settled();
  await put(node, 'b', 'next', bytesOf(45_000));
  await node.settled();
  const [older, withTombstone] = await volumesOf(node);
  await node.compact();
  await node.settled();
  const left = await volumesOf(node);
  expect(left).toContain(older);
  expect(left).not.toContain(withTombstone);
  await node.close();
  expect(await namesAfterRebuild(files)).toEqual(['kept', 'next']);
});

test('compaction copies a tombstone while a removed volume with its object is still read', async () => {
  const { files, node } = await openGated();
  await put(node, 'b', 'x', bytesOf(5_000));
  await put(node, 'b', 'read', bytesOf(40_000));
  await put(node, 'b', 'd', bytesOf(45_000));
  const reader = (await node.open('b', 'read'))!;
  for (const name of ['x', 'read', 'd']) await node.delete('b', name);
  await node.settled();
  await put(node, 'b', 'next', bytesOf(45_000));
  await node.settled();
  const [older, withTombstones] = await volumesOf(node);
  await node.compact();
  await vi.waitUntil(async () => !(await volumesOf(node)).includes(withTombstones!));
  expect(await volumesOf(node)).toContain(older);
  // The file of the older volume is left to the next open.
  await node.close();
  const left = files.kill();
  reader.close();
  expect(await namesAfterRebuild(left)).toEqual(['next']);
});

test('a volume with a record that waits to be published is not removed', async () => {
  const { gate, node } = await openGated();
  await put(node, 'b', 'first', bytesOf(50_000));
  await put(node, 'b', 'd', bytesOf(20_000));
  await node.delete('b', 'd');
  await node.settled();
  const release = gate.hold(METADATA);
  const body = bytesOf(5_000);
  const stored = put(node, 'b', 'n', body);
  await vi.waitUntil(() => gate.waiting > 0);
  // It does not fit: the volume with the record is sealed.
  const large = put(node, 'b', 'large', bytesOf(55_000));
  await someTurns();
  const compacted = node.compact();
  await someTurns();
  release();
  await Promise.all([stored, large, compacted]);
  await node.settled();
  expectSame(await get(node, 'b', 'n'), body);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 3 });
  await node.close();
});

test('a volume with a tombstone that waits to be counted is not removed', async () => {
  const { gate, files, node } = await openGated();
  await put(node, 'b', 'x', bytesOf(5_000));
  await put(node, 'b', 'kept', bytesOf(45_000));
  await put(node, 'b', 'd', bytesOf(20_000));
  await node.delete('b', 'd');
  await node.settled();
  let release = (): void => {};
  await node.delete('b', 'x').then(() => (release = gate.hold(METADATA)));
  await vi.waitUntil(() => gate.waiting > 0);
  const large = put(node, 'b', 'large', bytesOf(55_000));
  await someTurns();
  const compacted = node.compact();
  await someTurns();
  release();
  await Promise.all([large, compacted]);
  await node.settled();
  await node.close();
  expect(await namesAfterRebuild(files)).toEqual(['kept', 'large']);
});
