import { randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdir, open, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { NodeOptions } from '../../examples/storage-node/src/node-options.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { bytesOf, expectSame, get, put, SMALL } from './support/nodes.ts';

const OPTIONS: NodeOptions = {
  ...SMALL,
  volumeBytes: 256 * 1024,
  indexVolumeBytes: 128 * 1024,
  reserveFileBytes: 512 * 1024,
};

interface Disk {
  readonly open: () => Promise<StorageNode>;
  readonly freeBytes: () => Promise<number>;
  /** Takes all remaining space; `false` frees it. */
  readonly ballast: (isThere: boolean) => Promise<void>;
}

async function simulatedDisk(): Promise<Disk> {
  const files = new CrashFs({ capacityBytes: 6 * 2 ** 20 });
  await files.makeDirectory('/other');
  const file = await files.open('/other/ballast', 'wx');
  const freeBytes = (): Promise<number> => files.freeBytes('/other');
  return {
    open: () => StorageNode.open('/node', OPTIONS, { ...MACHINE, files }),
    freeBytes,
    ballast: async (isThere) => {
      const { sizeBytes } = await files.stat('/other/ballast');
      await file.truncate(isThere ? sizeBytes + (await freeBytes()) : 0);
    },
  };
}

/** A tmpfs, which is unmounted even if the test fails. */
async function mountedDisk(): Promise<Disk> {
  const path = join(await temporaryDirectory(), 'disk');
  await mkdir(path);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'lodestore-node-test', path]);
  onTestFinished(() => void execFileSync('umount', ['--lazy', path]));
  const freeBytes = async (): Promise<number> => {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  };
  return {
    open: () => StorageNode.open(join(path, 'node'), OPTIONS),
    freeBytes,
    ballast: async (isThere) => {
      if (!isThere) return rm(join(path, 'ballast'), { force: true });
      const file = await open(join(path, 'ballast'), 'a');
      try {
        await writeFile(file, Buffer.alloc(await freeBytes(), 'b'));
      } finally {
        await file.close();
      }
    },
  };
}

async function fill(node: StorageNode, bodies: Map<string, Buffer>): Promise<unknown> {
  for (let i = 0; i < 1_000; i++) {
    const body = bytesOf(i % 5 === 0 ? 100_000 : 20_000);
    try {
      await put(node, 'b', `n${i}`, body);
      bodies.set(`n${i}`, body);
    } catch (error) {
      return error;
    }
  }
  return undefined;
}

/** Resolves to the number of remaining objects. */
async function scenario(disk: Disk): Promise<number> {
  const node = await disk.open();
  await node.createBucket('b');
  const bodies = new Map<string, Buffer>();
  expect(await fill(node, bodies)).toMatchObject({ code: 'NO_SPACE' });
  expect(bodies.size).toBeGreaterThan(20);
  // Another program takes all remaining space.
  await disk.ballast(true);
  expect(await disk.freeBytes()).toBe(0);
  for (const [name, body] of bodies) expectSame(await get(node, 'b', name), body);
  await node.close();
  // It opens on a disk without free space, and deletes.
  const full = await disk.open();
  const gone = [...bodies.keys()].filter((_, i) => i % 2 === 0);
  for (const name of gone) {
    expect(await full.delete('b', name)).toBe(true);
    bodies.delete(name);
  }
  await expect(put(full, 'b', 'new', bytesOf(300_000))).rejects.toMatchObject({ code: 'NO_SPACE' });
  await full.compact();
  await full.settled();
  expect(await disk.freeBytes()).toBeGreaterThan(2 ** 20);
  expect(await full.recount()).toMatchObject({ isExact: true, objects: bodies.size });
  // There is room again, with the other program's bytes still in place.
  await full.compact();
  bodies.set('new', bytesOf(100_000));
  await put(full, 'b', 'new', bodies.get('new')!);
  await disk.ballast(false);
  await full.close();
  const again = await disk.open();
  for (const [name, body] of bodies) expectSame(await get(again, 'b', name), body);
  expect(await again.recount()).toMatchObject({ isExact: true, objects: bodies.size });
  expect((await again.scrub()).damages).toEqual([]);
  await again.close();
  return bodies.size;
}

test('the reserve gives deletes space, and bodies wait until it is complete again', async () => {
  const disk = await simulatedDisk();
  const node = await disk.open();
  onTestFinished(() => node.close());
  await node.createBucket('b');
  for (let i = 0; i < 40; i++) await put(node, 'b', `big${i}`, bytesOf(30_000));
  const names = Array.from({ length: 700 }, () => randomBytes(740).toString('base64url'));
  await Promise.all(names.map((name) => put(node, 'b', name, bytesOf(1))));
  await node.settled();
  await disk.ballast(true);
  await node.compact();
  // More than fits in the logs: the record of each delete contains the name.
  const deleted = await Promise.all(names.map((name) => node.delete('b', name)));
  expect(deleted.every(Boolean)).toBe(true);
  expect(await disk.freeBytes()).toBeLessThan(OPTIONS.reserveFileBytes!);
  await expect(put(node, 'b', 'x', bytesOf(1))).rejects.toMatchObject({ code: 'NO_SPACE' });
  await disk.ballast(false);
  for (let i = 0; i < 40; i++) await node.delete('b', `big${i}`);
  await node.compact();
  await node.settled();
  await put(node, 'b', 'x', bytesOf(1));
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 1 });
});

test('a disk smaller than a volume: deletes give space back from the volume that is written', async () => {
  const files = new CrashFs({ capacityBytes: 6 * 2 ** 20 });
  const options = { ...OPTIONS, volumeBytes: 2 ** 30, reserveBytes: 512 * 1024 };
  const node = await StorageNode.open('/node', options, { ...MACHINE, files });
  onTestFinished(() => node.close());
  await node.createBucket('b');
  const bodies = new Map<string, Buffer>();
  expect(await fill(node, bodies)).toMatchObject({ code: 'NO_SPACE' });
  expect((await node.figures()).volumes.filter((volume) => volume.class === 'object').length).toBe(
    1,
  );
  const gone = [...bodies.keys()].filter((_, i) => i % 2 === 0);
  for (const name of gone) await node.delete('b', name);
  for (const name of gone) bodies.delete(name);
  const before = await files.freeBytes('/node');
  await node.compact();
  await node.settled();
  expect(await files.freeBytes('/node')).toBeGreaterThan(before + 2 ** 20);
  bodies.set('new', bytesOf(100_000));
  await put(node, 'b', 'new', bodies.get('new')!);
  for (const [name, body] of bodies) expectSame(await get(node, 'b', name), body);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: bodies.size });
});

test('a full disk refuses bodies, accepts deletes, and accepts bodies again: simulated', async () => {
  expect(await scenario(await simulatedDisk())).toBeGreaterThan(10);
});

test.skipIf(process.getuid?.() !== 0)(
  'a full disk refuses bodies, accepts deletes, and accepts bodies again: tmpfs, as root',
  async () => {
    expect(await scenario(await mountedDisk())).toBeGreaterThan(10);
  },
);
