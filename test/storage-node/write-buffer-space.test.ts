import { expect, onTestFinished, test } from 'vitest';
import type { BucketPolicy } from '../../examples/storage-node/src/ledger/bucket-record.ts';
import type { NodeOptions } from '../../examples/storage-node/src/node-options.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { bytesOf, etagOf, expectSame, get, put, SMALL } from './support/nodes.ts';

const MIB = 2 ** 20;
const RESERVE = MIB;
/** The logs of the metadata use a little of the reserve. */
const METADATA = 128 * 1024;
const BODY = 200_000;

/** A node with a deferred bucket `d`, whose buffer is written by nothing but calls. */
async function open(
  files: CrashFs,
  options: NodeOptions = {},
  policy: BucketPolicy = { mode: 'keep' },
): Promise<StorageNode> {
  const node = await StorageNode.open(
    '/node',
    { ...SMALL, extentBytes: MIB, reserveBytes: RESERVE, writeBufferMs: 0, ...options },
    { ...MACHINE, files },
  );
  onTestFinished(() => node.close().catch(() => undefined));
  await node.createBucket('b');
  await node.createBucket('d', { ...policy, acknowledge: 'deferred' });
  await node.settled();
  return node;
}

async function namesOf(node: StorageNode, bucket: string): Promise<string[]> {
  return (await node.list(bucket)).objects.map(({ name }) => name);
}

/** Stores until there is no space. `isKnown`: the length is known before the body is read. */
async function fill(node: StorageNode, isKnown: boolean, prefix = 'n'): Promise<string[]> {
  const names: string[] = [];
  for (let i = 0; i < 100; i++) {
    const name = `${prefix}${i}`;
    const more = isKnown ? { sizeBytes: BODY } : {};
    const error: unknown = await put(node, 'd', name, bytesOf(BODY), undefined, more).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error === undefined) {
      names.push(name);
      continue;
    }
    expect(error).toMatchObject({ code: 'NO_SPACE' });
    return names;
  }
  throw new Error('there is always space');
}

test('PUTs that arrive together do not use the reserve: the buffer can be written', async () => {
  const files = new CrashFs({ capacityBytes: 3 * MIB });
  const node = await open(files);
  const names = Array.from({ length: 40 }, (_, i) => `n${i}`);
  const results = await Promise.allSettled(
    names.map((name) => put(node, 'd', name, bytesOf(BODY), undefined, { sizeBytes: BODY })),
  );
  const stored = names.filter((_, i) => results[i]!.status === 'fulfilled');
  expect(stored.length).toBeGreaterThan(5);
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'NO_SPACE' });
  }
  await node.flush();
  expect(await files.freeBytes('/node')).toBeGreaterThan(RESERVE - METADATA);
  expect(await namesOf(node, 'd')).toEqual(stored.toSorted());
});

test('a body of unknown length is refused before it uses the reserve', async () => {
  const files = new CrashFs({ capacityBytes: 3 * MIB });
  const node = await open(files);
  const names = await fill(node, false);
  expect(names.length).toBeGreaterThan(5);
  await node.flush();
  expect(await files.freeBytes('/node')).toBeGreaterThan(RESERVE - METADATA);
});

test('what was written since the last look at the disk counts', async () => {
  const files = new CrashFs({ capacityBytes: 4 * MIB });
  // The buffer is written each few PUTs.
  const node = await open(files, { writeBufferBytes: 500_000 });
  const names = await fill(node, true);
  expect(names.length).toBeGreaterThan(8);
  await node.flush();
  expect(await files.freeBytes('/node')).toBeGreaterThan(RESERVE - METADATA);
  expect(await namesOf(node, 'd')).toEqual(names.toSorted());
});

test.each([
  ['a PUT', (node: StorageNode, sizeBytes: number) => put(node, 'b', 'x', bytesOf(sizeBytes))],
  [
    'a part',
    async (node: StorageNode, sizeBytes: number) => {
      const { uploadId } = await node.createUpload('b', 'x', { headers: {} });
      const body = bytesOf(sizeBytes);
      const describe = () => ({ etag: etagOf(body), meta: { headers: {} } });
      return node.putPart(uploadId, 1, [body], { sizeBytes, describe });
    },
  ],
])('%s of another bucket does not use the space of the buffer', async (_, store) => {
  const files = new CrashFs({ capacityBytes: 3 * MIB });
  const node = await open(files);
  const names = await fill(node, true);
  const sizeBytes = 1.5 * BODY;
  const more = { sizeBytes };
  await expect(put(node, 'b', 'x', bytesOf(sizeBytes), undefined, more)).rejects.toMatchObject({
    code: 'NO_SPACE',
  });
  if (_ === 'a part') {
    await expect(store(node, sizeBytes)).rejects.toMatchObject({ code: 'NO_SPACE' });
  }
  await node.flush();
  expect(await namesOf(node, 'd')).toEqual(names.toSorted());
});

test('a PUT of a name in the buffer needs only the bytes that it has more', async () => {
  const files = new CrashFs({ capacityBytes: 3 * MIB });
  const node = await open(files);
  const names = await fill(node, true);
  const body = bytesOf(BODY + 1_000);
  const last = names.at(-1)!;
  await put(node, 'd', last, body, undefined, { sizeBytes: body.length });
  const larger = { sizeBytes: 3 * BODY };
  await expect(put(node, 'd', last, bytesOf(3 * BODY), undefined, larger)).rejects.toMatchObject({
    code: 'NO_SPACE',
  });
  await expect(put(node, 'd', last, bytesOf(3 * BODY))).rejects.toMatchObject({ code: 'NO_SPACE' });
  // A synced PUT writes the buffer first: it needs space beside the earlier object.
  const synced = { sizeBytes: body.length, acknowledge: 'synced' as const };
  await expect(put(node, 'd', last, body, undefined, synced)).rejects.toMatchObject({
    code: 'NO_SPACE',
  });
  expectSame(await get(node, 'd', last), body);
  // A smaller body gives space back at once.
  await put(node, 'd', last, bytesOf(1));
  await put(node, 'd', 'another', bytesOf(BODY), undefined, { sizeBytes: BODY });
  await node.flush();
  expect(await files.freeBytes('/node')).toBeGreaterThan(RESERVE - METADATA);
  expect(await namesOf(node, 'd')).toEqual([...names, 'another'].toSorted());
});

test('deletes of objects in the buffer give their space back', async () => {
  const files = new CrashFs({ capacityBytes: 6 * MIB });
  const node = await open(files);
  const names = await fill(node, true);
  for (const name of names) expect(await node.delete('d', name)).toBe(true);
  for (let round = 0; round < 3; round++) {
    await node.compact();
    await node.settled();
  }
  const again = await fill(node, true, 'm');
  expect(again.length).toBeGreaterThan(0.8 * names.length);
  await node.flush();
  expect(await namesOf(node, 'd')).toEqual(again.toSorted());
  expect(await node.recount()).toMatchObject({ isExact: true, objects: again.length });
});

/** Lengths of the volumes of bucket `d`. */
async function volumeBytesOf(node: StorageNode): Promise<number> {
  const { volumes } = await node.figures();
  return volumes
    .filter((volume) => volume.class === 'bucket d' && volume.state !== 'retired')
    .reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

test('a quota has room for what is in the buffer', async () => {
  const quotaBytes = MIB;
  const options = { reserveBytes: 0 };
  const node = await open(new CrashFs(), options, { mode: 'quota', quotaBytes });
  const names: string[] = [];
  const store = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const name = `n${String(names.length).padStart(2, '0')}`;
      await put(node, 'd', name, bytesOf(30_000));
      names.push(name);
    }
  };
  for (let i = 0; i < 32; i++) {
    await store(1);
    if (i % 4 === 3) await node.flush();
  }
  await node.compact();
  const before = await volumeBytesOf(node);
  expect(before).toBeLessThanOrEqual(quotaBytes);
  await store(3);
  const { bytes } = (await node.figures()).writeBuffer;
  expect(bytes).toBeGreaterThan(90_000);
  await node.compact();
  expect((await volumeBytesOf(node)) + bytes).toBeLessThanOrEqual(quotaBytes);
  await node.flush();
  expect(await volumeBytesOf(node)).toBeLessThanOrEqual(quotaBytes);
  const left = await namesOf(node, 'd');
  expect(left.length).toBeGreaterThan(20);
  expect(left).toEqual(names.slice(-left.length));
  await node.settled();
  expect(await node.recount()).toMatchObject({ isExact: true, objects: left.length });
});

test('the buffer of a bucket with a quota is written before it is a large part of it', async () => {
  const node = await open(new CrashFs(), { reserveBytes: 0 }, { mode: 'quota', quotaBytes: MIB });
  for (let i = 0; i < 5; i++) await put(node, 'd', `n${i}`, bytesOf(30_000));
  await expect.poll(async () => (await node.figures()).writeBuffer.puts).toBe(0);
});

test('a cache makes room for what is in the buffer', async () => {
  const files = new CrashFs({ capacityBytes: 6 * MIB });
  const options = { volumeBytes: MIB / 4, indexVolumeBytes: MIB / 8, reserveBytes: MIB / 2 };
  const node = await open(files, options, { mode: 'cache' });
  const freeBytes = async (): Promise<number> => files.freeBytes('/node');
  for (let i = 0; (await freeBytes()) > 1.2 * MIB; i++) {
    await put(node, 'd', `n${i}`, bytesOf(60_000));
    await node.flush();
  }
  await node.compact();
  await put(node, 'd', 'x', bytesOf(500_000));
  await node.compact();
  expect(await freeBytes()).toBeGreaterThan(MIB + 500_000);
});
