import { expect, onTestFinished, test } from 'vitest';
import type { NodeOptions } from '../../examples/storage-node/src/node-options.ts';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { bytesOf, put, SMALL } from './support/nodes.ts';

const MIB = 2 ** 20;
const NAMES = Array.from({ length: 40 }, (_, i) => `n${String(i).padStart(2, '0')}`);
const DELETED = NAMES.slice(0, 20);
const LEFT = NAMES.slice(20);

async function openOn(files: CrashFs, more: NodeOptions = {}): Promise<StorageNode> {
  // No volume is emptied: what comes back with a rebuild is there.
  const options = { ...SMALL, reserveFileBytes: MIB, compactDeadRatio: 1, ...more };
  const node = await StorageNode.open('/node', options, { ...MACHINE, files });
  onTestFinished(() => node.close().catch(() => undefined));
  return node;
}

/** Resolves to what takes all remaining space; `false` frees it. */
async function ballastOn(files: CrashFs): Promise<(isThere: boolean) => Promise<void>> {
  await files.makeDirectory('/other');
  const file = await files.open('/other/ballast', 'wx');
  return async (isThere) => {
    await file.truncate(isThere ? await files.freeBytes('/other') : 0);
  };
}

/** A node that deleted objects while no group could be written. */
async function deletedOn(
  files: CrashFs,
  fail: () => Promise<void> | void,
  options: NodeOptions = {},
): Promise<StorageNode> {
  const node = await openOn(files, options);
  await node.createBucket('b');
  for (const name of NAMES) await put(node, 'b', name, bytesOf(5_000));
  await node.settled();
  await fail();
  for (const name of DELETED) expect(await node.delete('b', name)).toBe(true);
  await node.settled();
  return node;
}

/** The deletes were made while another program had all space, which it has given back. */
async function deletedOnFullDisk(): Promise<{
  readonly files: CrashFs;
  readonly node: StorageNode;
}> {
  const files = new CrashFs({ capacityBytes: 20 * MIB });
  const ballast = await ballastOn(files);
  const node = await deletedOn(files, () => ballast(true));
  await ballast(false);
  return { files, node };
}

async function namesAfterRebuild(files: CrashFs): Promise<string[]> {
  await rebuildIndex('/node', SMALL, {}, { ...MACHINE, files });
  const node = await openOn(files);
  const names = (await node.list('b')).objects.map(({ name }) => name);
  expect(await node.recount()).toMatchObject({ isExact: true });
  await node.close();
  return names;
}

test('deletes on a full disk are in the volumes once there is space: a rebuild keeps them', async () => {
  const { files, node } = await deletedOnFullDisk();
  await node.compact();
  await node.settled();
  // Nothing is left to be done when it is closed.
  expect(await namesAfterRebuild(files.kill())).toEqual(LEFT);
});

test('deletes on a full disk are in the volumes after a clean close', async () => {
  const { files, node } = await deletedOnFullDisk();
  await node.close();
  expect(await namesAfterRebuild(files)).toEqual(LEFT);
});

test.each(['kill', 'close'])('marks that cannot be written outlive a %s', async (end) => {
  const files = new CrashFs();
  const node = await deletedOn(files, () => {
    files.faults.add({ call: 'write', error: 'EIO', path: /\.vol$/, mode: 'sticky' });
  });
  if (end === 'close') await node.close();
  files.faults.clear();
  const left = end === 'close' ? files : files.kill();
  const again = await openOn(left);
  await again.compact();
  await again.settled();
  expect(await namesAfterRebuild(left.kill())).toEqual(LEFT);
});

test('a name that was stored again after its mark failed is there after a rebuild', async () => {
  const { files, node } = await deletedOnFullDisk();
  await node.compact();
  for (const name of DELETED.slice(0, 5)) await put(node, 'b', name, bytesOf(100));
  await node.close();
  expect(await namesAfterRebuild(files)).toEqual([...DELETED.slice(0, 5), ...LEFT]);
});

test('rounds of upkeep do not try again and again what fails', async () => {
  const files = new CrashFs();
  const told: unknown[] = [];
  const onError = (error: unknown): void => void told.push(error);
  const fail = (): void => {
    files.faults.add({ call: 'write', error: 'EIO', path: /\.vol$/, mode: 'sticky' });
  };
  const node = await deletedOn(files, fail, { onError });
  const before = told.length;
  for (let i = 0; i < 30; i++) await node.compact();
  expect(told.length - before).toBeGreaterThan(1);
  expect(told.length - before).toBeLessThan(8);
  files.faults.clear();
  for (let i = 0; i < 60; i++) await node.compact();
  await node.settled();
  expect(await namesAfterRebuild(files.kill())).toEqual(LEFT);
});

test('a mark that can neither be written nor kept is reported', async () => {
  const files = new CrashFs();
  const told: string[] = [];
  const node = await openOn(files, { onError: ({ message }) => void told.push(message) });
  await node.createBucket('b');
  await put(node, 'b', 'n', bytesOf(5_000));
  files.faults.add({ call: 'write', error: 'EIO', path: /\.vol$/, mode: 'sticky' });
  await node.delete('b', 'n');
  // The next batch of the metadata is that of the mark.
  files.faults.add({ call: 'write', error: 'ENOSPC', path: /metadata/, mode: 'sticky' });
  await node.settled();
  expect(told.some((text) => text.startsWith('a mark of a deletion is lost'))).toBe(true);
});
