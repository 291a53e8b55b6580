import { expect, onTestFinished, test } from 'vitest';
import type { ObjectReader } from '../../examples/storage-node/src/object-node.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { bytesOf, expectSame, get, put, SMALL } from './support/nodes.ts';

const BODY_BYTES = 60_000;

function store(node: StorageNode, name: string): Promise<unknown> {
  const body = bytesOf(BODY_BYTES);
  return put(node, 'cache', name, body, undefined, { sizeBytes: body.length });
}

async function bodyOf(reader: ObjectReader): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of reader.body()) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Stores objects until one is refused. */
async function refusalOf(node: StorageNode): Promise<unknown> {
  for (let i = 0; i < 1_000; i++) {
    try {
      await store(node, `n${i}`);
    } catch (error) {
      return error;
    }
  }
  return undefined;
}

/** Numbers and states of the volumes of the cache, the oldest first. */
async function volumesOf(node: StorageNode): Promise<[number: number, state: string][]> {
  const all = (await node.figures()).volumes.filter((one) => one.class === 'bucket cache');
  return all
    .map(({ number, state }): [number, string] => [number, state])
    .sort(([a], [b]) => a - b);
}

test.each([
  ['what it does not read of the volume is freed', true],
  ['where parts of files cannot be freed, the next volume goes', false],
])('a slow reader of a dropped volume does not keep a cache full: %s', async (_, canPunch) => {
  const files = new CrashFs({ capacityBytes: 6 * 2 ** 20 });
  if (!canPunch) files.faults.add({ call: 'trim', error: 'EOPNOTSUPP', mode: 'sticky' });
  const options = { ...SMALL, reserveBytes: 2 ** 18 };
  const node = await StorageNode.open('/node', options, { ...MACHINE, files });
  onTestFinished(() => node.close());
  await node.createBucket('cache', { mode: 'cache' });
  const body = bytesOf(150_000);
  await put(node, 'cache', 'read', body);
  const reader = (await node.open('cache', 'read'))!;
  expect(await refusalOf(node)).toMatchObject({ code: 'NO_SPACE' });
  const [oldest, second, ...others] = await volumesOf(node);
  await node.compact();
  await store(node, 'new');
  expect(await get(node, 'cache', 'read')).toBeUndefined();
  const left = (await volumesOf(node)).map(([number, state]) => [number, state === 'retired']);
  const expected = [oldest!, ...(canPunch ? [second!] : []), ...others].map(([number]) => number);
  expect(left.slice(0, expected.length)).toEqual(
    expected.map((number) => [number, number === oldest![0]]),
  );
  expectSame(await bodyOf(reader), body);
  await node.settled();
  expect((await volumesOf(node)).map(([number]) => number)).not.toContain(oldest![0]);
  expect((await node.scrub()).damages).toEqual([]);
  expect(await node.recount()).toMatchObject({ isExact: true });
});

test('readers of live objects keep nothing that was deleted', async () => {
  const files = new CrashFs({ capacityBytes: 12 * 2 ** 20 });
  const options = { ...SMALL, volumeBytes: 2 ** 30, extentBytes: 2 ** 19, queueBytes: 2 ** 22 };
  const reserves = { reserveBytes: 2 ** 20, reserveFileBytes: 2 ** 20 };
  const node = await StorageNode.open('/node', { ...options, ...reserves }, { ...MACHINE, files });
  onTestFinished(() => node.close());
  await node.createBucket('b');
  const bodies: Buffer[] = [];
  const body = (): Buffer => bytesOf(200_000);
  for (;;) {
    const next = body();
    const sizes = { sizeBytes: next.length };
    const isStored = await put(node, 'b', `n${bodies.length}`, next, undefined, sizes).then(
      () => true,
      () => false,
    );
    if (!isStored) break;
    bodies.push(next);
  }
  // One that is read is deleted, too.
  const readers = await Promise.all(
    bodies.map(async (_, i) => (i % 4 === 0 || i === 1 ? node.open('b', `n${i}`) : undefined)),
  );
  for (const i of bodies.keys()) if (i % 2 === 1) await node.delete('b', `n${i}`);
  await node.settled();
  const before = await files.freeBytes('/node');
  await node.compact();
  expect(await files.freeBytes('/node')).toBeGreaterThan(before + 2 ** 21);
  for (const [i, reader] of readers.entries()) {
    if (reader === undefined) continue;
    const pieces: Uint8Array[] = [];
    for await (const piece of reader.body()) pieces.push(piece);
    expectSame(Buffer.concat(pieces), bodies[i]!);
  }
  expect((await node.scrub()).damages).toEqual([]);
  expect(await node.recount()).toMatchObject({ isExact: true });
});

test('what the readers of compacted volumes do not need is freed', async () => {
  const files = new CrashFs({ capacityBytes: 40 * 2 ** 20 });
  const node = await StorageNode.open('/node', SMALL, { ...MACHINE, files });
  onTestFinished(() => node.close());
  await node.createBucket('b');
  for (let i = 0; i < 60; i++) await put(node, 'b', `n${i}`, bytesOf(60_000));
  const readers = await Promise.all([0, 20, 40].map((i) => node.open('b', `n${i}`)));
  for (let i = 0; i < 60; i++) if (i % 20 !== 0) await node.delete('b', `n${i}`);
  await node.settled();
  const before = await files.freeBytes('/node');
  await node.compact();
  expect(await files.freeBytes('/node')).toBeGreaterThan(before + 2 ** 21);
  for (const reader of readers) {
    let bytes = 0;
    for await (const piece of reader!.body()) bytes += piece.length;
    expect(bytes).toBe(60_000);
  }
});

test('bodies that arrive together leave the reserve', async () => {
  const files = new CrashFs({ capacityBytes: 16 * 2 ** 20 });
  const reserves = { reserveBytes: 4 * 2 ** 20, reserveFileBytes: 2 ** 20 };
  const node = await StorageNode.open('/node', { ...SMALL, ...reserves }, { ...MACHINE, files });
  onTestFinished(() => node.close());
  await node.createBucket('b');
  async function* slow(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 80; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      yield bytesOf(2 ** 16);
    }
  }
  const describe = () => ({ etag: '0'.repeat(32), meta: { headers: {} } });
  const results = await Promise.allSettled([
    ...[0, 1, 2].map((i) => node.put('b', `n${i}`, slow(), { describe, sizeBytes: 80 * 2 ** 16 })),
    node.put('b', 'of any length', slow(), { describe }),
  ]);
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
  expect(await files.freeBytes('/node')).toBeGreaterThan(3 * 2 ** 20);
});

test('a scrub leaves a volume that is dropped meanwhile', async () => {
  const watch = { onRead: async (): Promise<void> => {} };
  const scheduler = {
    turn: (label: string) => (/^read.*\.vol/.test(label) ? watch.onRead() : Promise.resolve()),
  };
  const files = new CrashFs({ scheduler });
  const options = { ...SMALL, volumeBytes: 2 ** 30, extentBytes: 2 ** 20, queueBytes: 2 ** 24 };
  const node = await StorageNode.open('/node', options, { ...MACHINE, files });
  onTestFinished(() => node.close());
  await node.createBucket('cache', { mode: 'cache' });
  // More than three times what is read at once.
  const bytes = 14 * 2 ** 20;
  await put(node, 'cache', 'n', bytesOf(bytes));
  let evicted: Promise<unknown> | undefined;
  watch.onRead = async () => {
    if (evicted !== undefined || (node.progress('scrubbing')?.doneBytes ?? 0) < 2 ** 20) return;
    evicted = node.evict('cache');
    await evicted;
  };
  const { readBytes, damages } = await node.scrub();
  expect(await evicted).toBeDefined();
  expect(readBytes).toBeLessThan(bytes);
  expect(damages).toEqual([]);
  await node.settled();
  expect(await volumesOf(node)).toEqual([]);
});

test('no hole is made in an object that was opened and deleted while its volume was searched', async () => {
  const watch = { onRead: async (): Promise<void> => {} };
  const scheduler = {
    turn: (label: string) => (/^read.*\.vol/.test(label) ? watch.onRead() : Promise.resolve()),
  };
  const files = new CrashFs({ scheduler, capacityBytes: 2 ** 26 });
  // One dead object in a volume is not worth compaction.
  const options = { ...SMALL, volumeBytes: 2 ** 22, extentBytes: 60_000 };
  const filled = await StorageNode.open('/node', options, { ...MACHINE, files });
  await filled.createBucket('b');
  const body = bytesOf(120_000);
  for (let i = 0; i < 33; i++) await put(filled, 'b', `n${i}`, body);
  await put(filled, 'b', 'next', body);
  await filled.delete('b', 'n5');
  await filled.settled();
  await filled.close();
  // A body in extents is not read by `open`.
  // As if the disk were nearly full: dead bodies are freed in place.
  const short = { ...options, reserveBytes: 2 ** 50, compactDeadRatio: 1 };
  const node = await StorageNode.open('/node', short, { ...MACHINE, files });
  onTestFinished(() => node.close());
  let opened: ReturnType<StorageNode['open']> | undefined;
  watch.onRead = async () => {
    if (opened !== undefined) return;
    opened = node.open('b', 'n8');
    await opened;
    await node.delete('b', 'n8');
  };
  await node.compact();
  expect(Buffer.compare(await bodyOf((await opened)!), body)).toBe(0);
});
