import { cp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { NodeRefusedError } from '../../examples/storage-node/src/node-errors.ts';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import { runCli } from '../support/cli.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { bytesOf, etagOf, expectSame, get, openNode, put, SMALL } from './support/nodes.ts';

test('a rebuild of the metadata from the volumes finds the newest version of each name and nothing deleted', async () => {
  const directory = await temporaryDirectory();
  const node = await openNode(directory);
  await node.createBucket('b');
  await node.createBucket('gone');
  await node.deleteBucket('gone');
  await node.createBucket('c', { mode: 'cache' });
  const bodies = new Map<string, Buffer>();
  for (let i = 0; i < 60; i++) {
    const name = `n${i % 40}`;
    bodies.set(name, bytesOf(i % 5 === 0 ? 150_000 : 9_000));
    await put(node, 'b', name, bodies.get(name)!, { headers: { i: String(i) } });
  }
  for (let i = 0; i < 40; i += 3) {
    bodies.delete(`n${i}`);
    await node.delete('b', `n${i}`);
  }
  await node.settled();
  await node.compact();
  const upload = await node.createUpload('b', 'parts', { headers: {} });
  const part = bytesOf(100_000);
  const describe = () => ({ etag: etagOf(part), meta: { headers: {} } });
  const parts = [
    await node.putPart(upload.uploadId, 1, [part], { describe }),
    await node.putPart(upload.uploadId, 2, [part], { describe }),
  ];
  const description = { etag: `${etagOf(part)}-2`, meta: { headers: {} } };
  await node.completeUpload('b', 'parts', upload.uploadId, parts, description);
  bodies.set('parts', Buffer.concat([part, part]));
  // Refused after it was written: it must not reappear.
  const condition = { ifNoneMatch: '*' as const };
  await Promise.allSettled([
    put(node, 'b', 'race', Buffer.from('one'), undefined, { condition }),
    put(node, 'b', 'race', Buffer.from('other'), undefined, { condition }),
  ]);
  bodies.set('race', (await get(node, 'b', 'race'))!);
  await put(node, 'c', 'cached', Buffer.from('cached'));
  await node.settled();
  const before = await node.list('b');
  await node.close();

  await expect(rebuildIndex(directory, SMALL)).resolves.toMatchObject({
    buckets: 2,
    objects: bodies.size + 1,
    lostObjects: 0,
    damagedRecords: 0,
    gaps: 0,
  });
  const again = await openNode(directory);
  // Records written before the rebuild contain another hash of their name.
  expect((await again.scrub()).liveRecords).toBeGreaterThan(bodies.size);
  for (const [name, body] of bodies) expectSame(await get(again, 'b', name), body);
  expect(await again.list('b')).toEqual(before);
  expect(String(await get(again, 'c', 'cached'))).toBe('cached');
  expect(await again.recount()).toMatchObject({ isExact: true });
  await again.delete('b', 'parts');
  await again.compact();
  await again.settled();
  expect(await again.recount()).toMatchObject({ isExact: true });
  expect((await again.scrub()).damages).toEqual([]);
});

test('volumes without metadata, missing volumes and foreign ones are refused with advice', async () => {
  const [directory, other] = [await temporaryDirectory(), await temporaryDirectory()];
  for (const one of [directory, other]) {
    const node = await openNode(one);
    await node.createBucket('b');
    await put(node, 'b', 'n', bytesOf(100));
    await node.close();
  }
  const volumes = join(directory, 'volumes');
  const [name] = await readdir(volumes);
  await rename(join(volumes, name!), join(directory, 'aside'));
  await expect(openNode(directory)).rejects.toMatchObject({
    code: 'MISSING_VOLUME',
    advice: expect.stringContaining('rebuild-index') as string,
  });
  await rename(join(other, 'volumes', name!), join(volumes, name!));
  await expect(openNode(directory)).rejects.toMatchObject({ code: 'FOREIGN_VOLUME' });
  await rename(join(directory, 'aside'), join(volumes, name!));
  await rename(join(volumes, name!), join(volumes, 'volume-00000099.vol'));
  await expect(openNode(directory)).rejects.toMatchObject({ code: 'MISSING_VOLUME' });
  await rename(join(volumes, 'volume-00000099.vol'), join(volumes, name!));
  await (await openNode(directory)).close();
  await rm(join(directory, 'metadata'), { recursive: true });
  await expect(openNode(directory)).rejects.toMatchObject({ code: 'LOST_METADATA' });
  // A refusal leaves no empty metadata behind.
  expect(await readdir(directory)).not.toContain('metadata');
});

test('a backup of a node that stores meanwhile names the volumes that are newer than its metadata', async () => {
  const [directory, copy] = [await temporaryDirectory(), await temporaryDirectory()];
  const node = await openNode(directory, { volumeBytes: 2 ** 17 });
  await node.createBucket('b');
  const kept = bytesOf(50_000);
  await put(node, 'b', 'kept', kept);
  await runCli(['backup', join(directory, 'metadata'), join(copy, 'saved')]);
  for (let i = 0; i < 10; i++) await put(node, 'b', `later-${i}`, bytesOf(50_000));
  const volumes = join(copy, 'volumes');
  await cp(join(directory, 'volumes'), volumes, { recursive: true });
  await runCli(['restore', join(copy, 'saved'), join(copy, 'metadata')]);
  const refusal = await openNode(copy).catch((error: unknown) => error as NodeRefusedError);
  expect(refusal).toMatchObject({ code: 'LOST_METADATA' });
  const newer = (refusal as NodeRefusedError).message.match(/volume-\d+\.vol/g) ?? [];
  expect(newer.length).toBeGreaterThan(1);
  for (const name of newer) await rm(join(volumes, name));
  const restored = await openNode(copy);
  expectSame(await get(restored, 'b', 'kept'), kept);
  expect((await restored.list('b')).objects.map(({ name }) => name)).toEqual(['kept']);
  expect(await restored.recount()).toMatchObject({ isExact: true });
  await put(restored, 'b', 'after', kept);
  expectSame(await get(restored, 'b', 'after'), kept);
});

test('a volume that was emptied before the backup of the metadata is told from one begun since', async () => {
  const [directory, copy] = [await temporaryDirectory(), await temporaryDirectory()];
  const node = await openNode(directory, { volumeBytes: 2 ** 17 });
  await node.createBucket('b');
  for (let i = 0; i < 10; i++) await put(node, 'b', `gone-${i}`, bytesOf(50_000));
  const kept = bytesOf(50_000);
  await put(node, 'b', 'kept', kept);
  await node.settled();
  const volumes = join(copy, 'volumes');
  await cp(join(directory, 'volumes'), volumes, { recursive: true });
  const before = await readdir(volumes);
  for (let i = 0; i < 10; i++) await node.delete('b', `gone-${i}`);
  await node.settled();
  await node.compact();
  await node.settled();
  await runCli(['backup', join(directory, 'metadata'), join(copy, 'saved')]);
  const current = await readdir(join(directory, 'volumes'));
  const removed = before.filter((name) => !current.includes(name));
  expect(removed.length).toBeGreaterThan(1);
  // The second backup goes into the directory of the first one.
  await cp(join(directory, 'volumes'), volumes, { recursive: true });
  await runCli(['restore', join(copy, 'saved'), join(copy, 'metadata')]);
  const refusal = async (): Promise<string> => {
    const error = await openNode(copy).catch((reason: unknown) => reason as NodeRefusedError);
    expect(error).toMatchObject({ code: 'LOST_METADATA' });
    return (error as NodeRefusedError).message;
  };
  const advice =
    'emptied and removed by this node before the metadata was copied. Move these files out of ' +
    '"volumes": the metadata needs none of their bytes. Do not run "lodestore-node ' +
    'rebuild-index" with them: it brings deleted objects back';
  expect(await refusal()).toBe(
    `the metadata does not have ${removed.sort().join(', ')}: ${advice}`,
  );
  // Beside volumes that the metadata is too old for, a rebuild would bring them back, too.
  for (let i = 0; i < 5; i++) await put(node, 'b', `later-${i}`, bytesOf(50_000));
  await cp(join(directory, 'volumes'), volumes, { recursive: true });
  const begun = (await readdir(volumes)).filter((name) => ![...before, ...current].includes(name));
  expect(begun.length).toBeGreaterThan(0);
  const both = await refusal();
  expect(both).toContain(
    `${removed.join(', ')}: ${advice}. It is older than ${begun.sort().join(', ')}`,
  );
  expect(both.match(/rebuild-index/g)).toHaveLength(1);
  for (const name of [...removed, ...begun]) await rm(join(volumes, name));
  const restored = await openNode(copy);
  expect((await restored.list('b')).objects.map(({ name }) => name)).toEqual(['kept']);
  expectSame(await get(restored, 'b', 'kept'), kept);
});

test('a node whose metadata directory is removed while it runs says that it has failed', async () => {
  const directory = await temporaryDirectory();
  const failures: Error[] = [];
  const node = await openNode(directory, { onFailed: (error) => failures.push(error) });
  await node.createBucket('b');
  expect(node.failure).toBe(undefined);
  await rm(join(directory, 'metadata'), { recursive: true });
  const code = 'LODESTORE_DIRECTORY_LOST';
  await expect(put(node, 'b', 'n', bytesOf(10))).rejects.toMatchObject({ code });
  await expect(put(node, 'b', 'n', bytesOf(10))).rejects.toMatchObject({ code });
  expect(failures).toMatchObject([{ code }]);
  expect(node.failure).toBe(failures[0]);
});

/** The refresh of the lease notices it. No write does. */
test('a node that nobody writes to says that its metadata directory was removed', async () => {
  const directory = await temporaryDirectory();
  const failures: Error[] = [];
  const node = await openNode(directory, { onFailed: (error) => failures.push(error) });
  await node.createBucket('b');
  await rm(join(directory, 'metadata'), { recursive: true });
  await vi.waitUntil(() => node.failure !== undefined, { timeout: 30_000 });
  expect(failures).toMatchObject([{ code: 'LODESTORE_DIRECTORY_LOST' }]);
});
