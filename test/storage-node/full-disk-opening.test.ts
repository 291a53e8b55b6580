import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import type { NodeOptions } from '../../examples/storage-node/src/node-options.ts';
import type { StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { mountedDisk, mountedExt4, simulatedDisk, type Disk } from './support/full-disks.ts';
import { bytesOf, expectSame, get, put } from './support/nodes.ts';

const OPTIONS: NodeOptions = {
  volumeBytes: 2 ** 20,
  indexVolumeBytes: 2 ** 18,
  extentBytes: 2 ** 20,
  queueBytes: 2 ** 23,
  reserveBytes: 2 ** 20,
  reserveFileBytes: 2 ** 20,
};

const DELETES = 8;

/** Whatever is free before and after each of a few restarts is taken by another program. */
async function restarts(disk: Disk): Promise<string[]> {
  const notices: string[] = [];
  const options = { ...OPTIONS, onNotice: (text: string) => void notices.push(text) };
  let node = await disk.open(options);
  await node.createBucket('b');
  const bodies = new Map<string, Buffer>();
  for (let i = 0; i < 20; i++) bodies.set(`n${i}`, bytesOf(300_000));
  for (const [name, body] of bodies) await put(node, 'b', name, body);
  await node.settled();
  for (let i = 0; i < DELETES; i++) {
    await disk.ballast(true);
    expect(await node.delete('b', `n${i}`)).toBe(true);
    bodies.delete(`n${i}`);
    await node.close();
    await disk.ballast(true);
    expect(await disk.freeBytes()).toBe(0);
    node = await disk.open(options);
    for (const [name, body] of bodies) expectSame(await get(node, 'b', name), body);
  }
  await disk.ballast(false);
  await node.compact();
  await node.settled();
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 20 - DELETES });
  expect((await node.scrub()).damages).toEqual([]);
  await put(node, 'b', 'new', bytesOf(300_000));
  await node.close();
  return notices;
}

const FREED = expect.stringMatching(/dead bytes of the volumes are freed before the node opens/);

test('with its reserve used up, a node frees dead bytes in order to open: simulated', async () => {
  const disk = await simulatedDisk(16 * 2 ** 20);
  expect(await restarts(disk)).toContainEqual(FREED);
});

test.skipIf(process.getuid?.() !== 0)(
  'with its reserve used up, a node frees dead bytes in order to open: tmpfs, as root',
  async () => {
    expect(await restarts(await mountedDisk('16m'))).toContainEqual(FREED);
  },
);

test.skipIf(process.getuid?.() !== 0 || !existsSync('/usr/sbin/mkfs.ext4'))(
  'with its reserve used up, a node frees dead bytes in order to open: ext4, as root',
  async () => {
    expect(await restarts(await mountedExt4(24 * 2 ** 20))).toContainEqual(FREED);
  },
);

/** Another program takes what is free, and the log of the metadata all that is left. */
async function fillMetadata(node: StorageNode, disk: Disk): Promise<void> {
  for (let refused = 0; refused === 0;) {
    await disk.ballast(true);
    const begun = await Promise.allSettled(
      Array.from({ length: 200 }, () => {
        const name = randomBytes(740).toString('base64url');
        return node.createUpload('b', name, { headers: {} });
      }),
    );
    refused = begun.filter(({ status }) => status === 'rejected').length;
  }
}

test('where nothing is dead, the refusal says how much must be free, and that is enough', async () => {
  const disk = await simulatedDisk(16 * 2 ** 20);
  const first = await disk.open(OPTIONS);
  await first.createBucket('b');
  const body = bytesOf(300_000);
  await put(first, 'b', 'n', body);
  await fillMetadata(first, disk);
  await first.close();
  await disk.ballast(true);
  const refusal = await disk.open(OPTIONS).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(refusal).toMatchObject({
    code: 'NO_SPACE',
    message: expect.stringMatching(
      /may need 1\.0 MiB to open, and 0 B are free in \/node\. .*Remove/,
    ),
  });
  await disk.giveBack(2 ** 20);
  const node = await disk.open(OPTIONS);
  onTestFinished(() => node.close());
  expectSame(await get(node, 'b', 'n'), body);
  expect(await node.delete('b', 'n')).toBe(true);
});

test('what an interrupted rebuild left is removed for an open on a full disk', async () => {
  const disk = await simulatedDisk(16 * 2 ** 20);
  const first = await disk.open(OPTIONS);
  await first.createBucket('b');
  await disk.files.makeDirectory('/node/metadata.rebuild');
  for (const [name, sizeBytes] of [['lodestore.lock', 0] as const, ['left', 2 ** 20] as const]) {
    const file = await disk.files.open(`/node/metadata.rebuild/${name}`, 'wx');
    await file.write(Buffer.alloc(sizeBytes), 0);
    await file.close();
  }
  await fillMetadata(first, disk);
  await first.close();
  await disk.ballast(true);
  const node = await disk.open(OPTIONS);
  onTestFinished(() => node.close());
  const names = (await disk.files.readDirectory('/node')).map(({ name }) => name);
  expect(names).not.toContainEqual(expect.stringContaining('rebuild'));
  expect(await node.createBucket('c')).toBe(true);
});
