import { randomBytes } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import type { NodeOptions } from '../../examples/storage-node/src/node-options.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { volumeFileName } from '../../examples/storage-node/src/volumes/volume-set.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { mountedDisk, OPTIONS, simulatedDisk, type Disk } from './support/full-disks.ts';
import { bytesOf, expectSame, get, put, SMALL } from './support/nodes.ts';

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
  const { volumes } = await node.figures();
  expect(volumes.filter((volume) => volume.class === 'object').length).toBeLessThan(3);
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

test('where parts of files cannot be freed, the node says so once, and compacts what fits', async () => {
  const files = new CrashFs({ capacityBytes: 6 * 2 ** 20 });
  files.faults.add({ call: 'trim', error: 'EOPNOTSUPP', mode: 'sticky' });
  const errors: Error[] = [];
  const onError = (error: Error): void => void errors.push(error);
  const options = { ...OPTIONS, volumeBytes: 2 ** 30, reserveBytes: 512 * 1024, onError };
  const node = await StorageNode.open('/node', options, { ...MACHINE, files });
  onTestFinished(() => node.close());
  await node.createBucket('b');
  const bodies = new Map<string, Buffer>();
  expect(await fill(node, bodies)).toMatchObject({ code: 'NO_SPACE' });
  const names = [...bodies.keys()];
  const remove = async (gone: readonly string[]): Promise<void> => {
    for (const name of gone) await node.delete('b', name);
    for (const name of gone) bodies.delete(name);
    for (let round = 0; round < 3; round++) {
      await node.compact();
      await node.settled();
    }
  };
  await remove(names.filter((_, i) => i % 3 === 0));
  expect(errors.map((error) => (error as { code?: string }).code)).toEqual(['NO_HOLES']);
  for (const [name, body] of bodies) expectSame(await get(node, 'b', name), body);
  // Copies fit now, or volumes are empty.
  await remove([...bodies.keys()].slice(1));
  bodies.set('new', bytesOf(450_000));
  await put(node, 'b', 'new', bodies.get('new')!);
  for (const [name, body] of bodies) expectSame(await get(node, 'b', name), body);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: bodies.size });
  expect(errors).toHaveLength(1);
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

test('dead bodies are freed in other volumes where the disk refuses it in one', async () => {
  const files = new CrashFs({ capacityBytes: 2 ** 30 });
  const openWith = async (more: NodeOptions): Promise<StorageNode> => {
    const options = { ...SMALL, extentBytes: 2 ** 19, ...more };
    const node = await StorageNode.open('/node', options, { ...MACHINE, files });
    onTestFinished(() => node.close());
    return node;
  };
  const first = await openWith({});
  await first.createBucket('b');
  for (let i = 0; i < 29; i++) await put(first, 'b', `n${i}`, bytesOf(73_000));
  for (const name of ['n5', 'n20']) await first.delete('b', name);
  await first.settled();
  await first.close();
  const told: string[] = [];
  const onError = ({ message }: Error): void => void told.push(message);
  // As if the disk were nearly full.
  const node = await openWith({ reserveBytes: 2 ** 50, compactDeadRatio: 1, onError });
  const sealed = (await node.figures()).volumes
    .filter((volume) => volume.class === 'object' && volume.state === 'sealed')
    .map(({ number }) => `/node/volumes/${volumeFileName(number)}`);
  expect(sealed).toHaveLength(2);
  files.faults.add({ call: 'trim', error: 'EIO', path: sealed[0]!, mode: 'sticky' });
  await node.compact();
  await node.compact();
  const trims = files.trace.filter(({ kind }) => kind === 'trim');
  const outcomes = sealed.map((path) =>
    trims.filter((call) => call.path === path).map(({ outcome }) => outcome === 'ok'),
  );
  expect(outcomes).toEqual([[false], [true]]);
  expect(told).toEqual([expect.stringMatching(/^volume \d+, .*: the disk cannot free it$/)]);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 27 });
});

/** Volumes as long as a disk may have, and less free than the copies of one. */
const LONG: NodeOptions = {
  volumeBytes: 2 ** 30,
  indexVolumeBytes: 2 ** 27,
  reserveBytes: 2 ** 20,
  reserveFileBytes: 3 * 2 ** 20,
};

/** Stores objects of 4 KiB until there is no space. */
async function fillWithSmall(node: StorageNode, from: number): Promise<Map<string, Buffer>> {
  const bodies = new Map<string, Buffer>();
  let next = from;
  let refusal: unknown;
  const client = async (): Promise<void> => {
    while (refusal === undefined) {
      const name = `small/${next++}`;
      const body = bytesOf(4096);
      try {
        await put(node, 'b', name, body, undefined, { sizeBytes: body.length });
        bodies.set(name, body);
      } catch (error) {
        refusal = error;
      }
    }
  };
  await Promise.all(Array.from({ length: 32 }, client));
  expect(refusal).toMatchObject({ code: 'NO_SPACE' });
  return bodies;
}

/** Half of the objects are deleted; `isTaken`: while another program has the rest of the disk. */
async function smallObjects(disk: Disk, isTaken: boolean): Promise<number> {
  const node = await disk.open(LONG);
  await node.createBucket('b');
  const big = bytesOf(200_000);
  await put(node, 'b', 'big', big);
  const bodies = await fillWithSmall(node, 0);
  // At most a sixteenth of the disk, or 4 MiB.
  for (const { sizeBytes } of (await node.figures()).volumes) {
    expect(sizeBytes).toBeLessThanOrEqual(4 * 2 ** 20);
  }
  if (isTaken) await disk.ballast(true);
  const gone = [...bodies.keys()].filter((_, i) => i % 2 === 0);
  const reader = (await node.open('b', 'big'))!;
  await Promise.all(gone.map((name) => node.delete('b', name)));
  for (const name of gone) bodies.delete(name);
  await node.delete('b', 'big');
  // Bytes of what is opened stay until it is read.
  const compacting = node.compact();
  for (let i = 0; i < 100; i++) {
    if ((await node.figures()).compaction.rescuedRecords > 0) break;
    await node.recount();
  }
  await node.recount();
  const pieces: Uint8Array[] = [];
  for await (const piece of reader.body()) pieces.push(piece);
  expectSame(Buffer.concat(pieces), big);
  await compacting;
  for (let i = 0; i < 4; i++) await node.compact();
  await node.settled();
  for (const [name, body] of bodies) expectSame(await get(node, 'b', name), body);
  const more = await fillWithSmall(node, 1_000_000);
  expect(more.size).toBeGreaterThan(0.5 * gone.length);
  for (const [name, body] of more) bodies.set(name, body);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: bodies.size });
  await node.close();
  const again = await disk.open(LONG);
  for (const [name, body] of bodies) expectSame(await get(again, 'b', name), body);
  expect((await again.scrub()).damages).toEqual([]);
  expect(await again.recount()).toMatchObject({ isExact: true, objects: bodies.size });
  await again.close();
  return more.size;
}

test('half of the small objects of a full disk are deleted: as many fit again: simulated, another program has the rest', async () => {
  expect(await smallObjects(await simulatedDisk(14 * 2 ** 20), true)).toBeGreaterThan(0);
});

test.skipIf(process.getuid?.() !== 0)(
  'half of the small objects of a full disk are deleted: as many fit again: tmpfs, as root',
  async () => {
    expect(await smallObjects(await mountedDisk('20m'), false)).toBeGreaterThan(0);
  },
);
