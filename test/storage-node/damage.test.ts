import { open, readdir, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { volumeFileName } from '../../examples/storage-node/src/volumes/volume-set.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { bytesOf, expectSame, get, openNode, put, SMALL } from './support/nodes.ts';

/** Flips a bit of the first occurrence of these bytes in the volumes. */
async function flip(directory: string, bytes: Buffer): Promise<void> {
  for (const name of await readdir(join(directory, 'volumes'))) {
    const path = join(directory, 'volumes', name);
    const at = (await readFile(path)).indexOf(bytes);
    if (at < 0) continue;
    const file = await open(path, 'r+');
    await file.write(Uint8Array.of(bytes[0]! ^ 1), 0, 1, at);
    await file.close();
    return;
  }
  throw new Error('the bytes are in no volume');
}

test('damage is reported once per place by reads, scrub or compaction', async () => {
  const directory = await temporaryDirectory();
  const told: string[] = [];
  const node = await openNode(directory, { onError: ({ message }) => told.push(message) });
  await node.createBucket('b');
  const [small, large, unread] = [bytesOf(5_000), bytesOf(300_000), bytesOf(7_000)];
  await put(node, 'b', 'small', small);
  await put(node, 'b', 'large', large);
  await put(node, 'b', 'unread', unread);
  for (let i = 0; i < 20; i++) await put(node, 'b', 'dead', bytesOf(60_000));
  await flip(directory, small.subarray(100, 150));
  await flip(directory, large.subarray(200_000, 200_050));
  await flip(directory, unread.subarray(100, 150));
  for (const name of ['small', 'large', 'small']) {
    await expect(get(node, 'b', name)).rejects.toMatchObject({ code: 'DAMAGED' });
  }
  expect(told).toEqual([
    expect.stringMatching(
      /^volume \d+, byte \d+: the bytes of "b\/small" are not what was stored$/,
    ),
    expect.stringMatching(
      /^volume \d+, byte \d+: the bytes of "b\/large" are not what was stored$/,
    ),
  ]);
  const { reads, recentErrors } = await node.figures();
  expect(reads.damaged).toBe(3);
  expect(recentErrors.map(({ message }) => message)).toEqual(told);
  told.length = 0;
  const { damages } = await node.scrub();
  expect(new Set(damages.map(({ name }) => name))).toEqual(new Set(['large', 'small', 'unread']));
  expect(told.some((text) => text.includes('("b/unread")'))).toBe(true);
  await node.scrub();
  expect(told.filter((text) => text.includes('("b/unread")'))).toHaveLength(1);
});

test('names of objects reach terminals and logs without control characters', async () => {
  const directory = await temporaryDirectory();
  const told: string[] = [];
  const node = await openNode(directory, { onError: ({ message }) => told.push(message) });
  await node.createBucket('b');
  const name = 'a\n\u001b[2J\u009b2J\u202e"';
  const [bytes, unread] = [bytesOf(5_000), bytesOf(5_000)];
  await put(node, 'b', name, bytes);
  await put(node, 'b', `${name}/unread`, unread);
  for (const one of [bytes, unread]) await flip(directory, one.subarray(100, 150));
  await expect(get(node, 'b', name)).rejects.toMatchObject({ code: 'DAMAGED' });
  const { damages } = await node.scrub();
  expect(damages.map((damage) => damage.name)).toContain(`${name}/unread`);
  const describe = () => ({ etag: '', meta: { headers: {} } });
  const refused = await node.put(name, 'n', [], { describe }).catch((error: Error) => error);
  told.push((refused as Error).message);
  expect(told.length).toBeGreaterThan(2);
  for (const text of told) {
    expect(text).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(text).toContain('a\\n\\u001b[2J\\u{9b}2J\\u{202e}\\"');
  }
});

test('a body that was read with its record is refused where it is damaged, and served elsewhere', async () => {
  const directory = await temporaryDirectory();
  const node = await openNode(directory, { extentBytes: 2 ** 17 });
  await node.createBucket('b');
  const bytes = bytesOf(100_000);
  await put(node, 'b', 'n', bytes);
  await flip(directory, bytes.subarray(70_000, 70_050));
  const reader = await node.open('b', 'n');
  const start = { startBytes: 10, endBytes: 65_536 };
  expectSame(reader?.heldBody?.(start), bytes.subarray(10, 65_536));
  const damaged = expect.objectContaining({ code: 'DAMAGED' }) as unknown as Error;
  for (const range of [undefined, { startBytes: 65_535, endBytes: 65_537 }]) {
    expect(() => reader?.heldBody?.(range)).toThrow(damaged);
  }
  reader?.close();
});

test('compaction reports damage that keeps it from emptying a volume', async () => {
  const directory = await temporaryDirectory();
  const told: string[] = [];
  const node = await openNode(directory, { onError: ({ message }) => told.push(message) });
  await node.createBucket('b');
  const bytes = bytesOf(5_000);
  await put(node, 'b', 'n', bytes);
  for (let i = 0; i < 20; i++) await put(node, 'b', 'dead', bytesOf(60_000));
  await flip(directory, bytes.subarray(100, 150));
  await node.compact();
  expect(told).toEqual([expect.stringMatching(/the record is damaged: it is not compacted$/)]);
});

test('a volume that was cut short is named; what is left of it is served', async () => {
  const directory = await temporaryDirectory();
  const node = await openNode(directory);
  await node.createBucket('b');
  const [first, second] = [bytesOf(20_000), bytesOf(20_000)];
  await put(node, 'b', 'first', first);
  await put(node, 'b', 'second', second);
  await node.close();
  const name = 'volume-00000001.vol';
  const path = join(directory, 'volumes', name);
  await truncate(path, (await readFile(path)).indexOf(second.subarray(0, 50)) + 1_000);
  const again = await openNode(directory);
  expect(again.recovery.shortVolumes).toEqual([1]);
  expectSame(await get(again, 'b', 'first'), first);
  await expect(get(again, 'b', 'second')).rejects.toMatchObject({ code: 'DAMAGED' });
  const { damages } = await again.scrub();
  expect(damages).toMatchObject([{ volume: 1, name: 'second' }]);
  await put(again, 'b', 'second', second);
  expectSame(await get(again, 'b', 'second'), second);
});

test('compaction goes on with other volumes where the disk cannot read one', async () => {
  const files = new CrashFs();
  const options = { ...SMALL, volumeBytes: 256 * 1024 };
  const node = await StorageNode.open('/node', options, { ...MACHINE, files });
  onTestFinished(() => node.close());
  await node.createBucket('b');
  const bodies = new Map<string, Buffer>();
  for (let i = 0; i < 40; i++) {
    const body = bytesOf(20_000);
    await put(node, 'b', `n${i}`, body);
    if (i % 4 === 0) bodies.set(`n${i}`, body);
  }
  for (let i = 0; i < 40; i++) if (!bodies.has(`n${i}`)) await node.delete('b', `n${i}`);
  await node.settled();
  const sealed = (await node.figures()).volumes
    .filter((volume) => volume.class === 'object' && volume.state === 'sealed')
    .map(({ number }) => number);
  expect(sealed.length).toBeGreaterThan(2);
  const path = `/node/volumes/${volumeFileName(sealed[0]!)}`;
  files.faults.add({ call: 'read', path, mode: 'sticky' });
  await node.compact();
  await node.settled();
  files.faults.clear();
  const left = (await node.figures()).volumes.map(({ number }) => number);
  expect(sealed.filter((number) => left.includes(number))).toEqual([sealed[0]]);
  for (const [name, body] of bodies) expectSame(await get(node, 'b', name), body);
});
