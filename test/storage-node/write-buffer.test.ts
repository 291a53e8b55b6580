import { expect, onTestFinished, test, vi } from 'vitest';
import type { NodeOptions } from '../../examples/storage-node/src/node-options.ts';
import type { ObjectMeta } from '../../examples/storage-node/src/object-node.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { Gate } from './support/gate.ts';
import { bytesOf, etagOf, expectSame, get, put, SMALL } from './support/nodes.ts';

const META: ObjectMeta = {
  headers: { 'content-type': 'text/plain', 'x-amz-meta-a': 'ü' },
  tags: { t: '1' },
  checksums: { CRC32: 'AAAAAA==' },
  checksumType: 'FULL_OBJECT',
};

async function openOn(files: CrashFs, options: NodeOptions = {}): Promise<StorageNode> {
  const node = await StorageNode.open(
    '/node',
    { ...SMALL, writeBufferMs: 0, ...options },
    { ...MACHINE, files },
  );
  onTestFinished(() => node.close().catch(() => undefined));
  return node;
}

/** A node with a synced bucket `b` and a deferred bucket `d`. */
async function open(
  files: CrashFs,
  options: NodeOptions = {},
): Promise<{ readonly node: StorageNode; readonly syncs: () => Promise<number> }> {
  const node = await openOn(files, options);
  await node.createBucket('b');
  await node.createBucket('d', { mode: 'keep', acknowledge: 'deferred' });
  await node.settled();
  return { node, syncs: async () => (await node.figures()).writes.volumeSyncs };
}

async function afterCrash(files: CrashFs): Promise<StorageNode> {
  return openOn(files.minimalCrash());
}

async function namesOf(node: StorageNode, bucket: string): Promise<string[]> {
  return (await node.list(bucket)).objects.map(({ name }) => name);
}

const VOLUME_SYNCS = /dataSync.*\.vol/;
const METADATA_SYNCS = /dataSync.*metadata/;

test('a PUT is acknowledged without a sync, and served as it is served once it is durable', async () => {
  const files = new CrashFs();
  const { node, syncs } = await open(files);
  const before = await syncs();
  const bodies = [bytesOf(0), bytesOf(1), bytesOf(60_000), bytesOf(65_536)];
  for (const [i, body] of bodies.entries()) await put(node, 'd', `ü${i}`, body, META);
  expect(await syncs()).toBe(before);
  expect((await node.figures()).writeBuffer).toMatchObject({ puts: 4, acknowledged: 4 });
  const look = async () => {
    const seen = [];
    for (const [i, body] of bodies.entries()) {
      const name = `ü${i}`;
      expectSame(await get(node, 'd', name), body);
      const range = { startBytes: 7, endBytes: 20_000 };
      expectSame(await get(node, 'd', name, range), body.subarray(7, 20_000));
      const reader = (await node.open('d', name))!;
      reader.close();
      expect(reader.details).toMatchObject({ etag: etagOf(body), meta: META });
      seen.push(reader.details, await node.info('d', name));
    }
    return seen;
  };
  const pending = await look();
  expect(await syncs()).toBe(before);
  await node.flush();
  expect(await syncs()).toBe(before + 1);
  expect((await node.figures()).writeBuffer).toMatchObject({ puts: 0, bytes: 0, flushes: 1 });
  expect(await look()).toEqual(pending);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 4 });
});

test('a crash loses what is in the buffer, and nothing that was flushed', async () => {
  const files = new CrashFs();
  const { node } = await open(files);
  await put(node, 'd', 'flushed', bytesOf(10));
  await node.flush();
  await put(node, 'd', 'buffered', bytesOf(10));
  const again = await afterCrash(files);
  expect(await namesOf(again, 'd')).toEqual(['flushed']);
  expect((await again.describeBuckets())[1]).toMatchObject({
    name: 'd',
    policy: { mode: 'keep', acknowledge: 'deferred' },
  });
});

test('the newest of several PUTs of a name wins, in the buffer and on the disk', async () => {
  const files = new CrashFs();
  const { node } = await open(files);
  const bodies = [1, 2, 3, 4].map(() => bytesOf(500));
  await put(node, 'd', 'a', bodies[0]!);
  const { bytes } = (await node.figures()).writeBuffer;
  await put(node, 'd', 'a', bodies[1]!);
  // The memory of the first is given back.
  expect((await node.figures()).writeBuffer.bytes).toBe(bytes);
  expectSame(await get(node, 'd', 'a'), bodies[1]!);
  // While the second is written, a third and a fourth arrive.
  const flushed = node.flush();
  await put(node, 'd', 'a', bodies[2]!);
  await put(node, 'd', 'a', bodies[3]!);
  expectSame(await get(node, 'd', 'a'), bodies[3]!);
  await flushed;
  expectSame(await get(node, 'd', 'a'), bodies[3]!);
  await node.flush();
  expectSame(await get(node, 'd', 'a'), bodies[3]!);
  expectSame(await get(await afterCrash(files), 'd', 'a'), bodies[3]!);
});

test('what a reader has is what was there when it was opened', async () => {
  const { node } = await open(new CrashFs());
  const body = bytesOf(100);
  await put(node, 'd', 'a', body);
  const reader = (await node.open('d', 'a'))!;
  for await (const piece of reader.body()) piece.fill(0);
  await put(node, 'd', 'a', bytesOf(1));
  const pieces = [];
  for await (const piece of (await node.open('d', 'a'))!.body()) pieces.push(piece);
  expect(Buffer.concat(pieces)).toHaveLength(1);
  const again: Uint8Array[] = [];
  for await (const piece of reader.body()) again.push(piece);
  expectSame(Buffer.concat(again), body);
});

const describeAs = (body: Uint8Array) => ({ describe: () => ({ etag: etagOf(body), meta: META }) });

test.each<[string, (node: StorageNode) => Promise<unknown>]>([
  ['a large PUT', (node) => put(node, 'd', 'x', bytesOf(65_537))],
  [
    'a conditional PUT',
    (node) => put(node, 'd', 'x', bytesOf(1), META, { condition: { ifNoneMatch: '*' } }),
  ],
  ['a synced PUT', (node) => put(node, 'd', 'x', bytesOf(1), META, { acknowledge: 'synced' })],
  ['a delete', (node) => node.delete('d', 'b')],
  ['a change of metadata', (node) => node.setMeta('d', 'b', () => ({ headers: {} }))],
  ['flush', (node) => node.flush()],
  ['close', (node) => node.close()],
  [
    'the completion of an upload',
    async (node) => {
      const { uploadId } = await node.createUpload('d', 'x', META);
      const part = await node.putPart(uploadId, 1, [bytesOf(10)], describeAs(bytesOf(0)));
      const description = { etag: `${'0'.repeat(32)}-1`, meta: META };
      await node.completeUpload('d', 'x', uploadId, [part], description);
    },
  ],
])('everything acknowledged before is durable after %s', async (_, act) => {
  const files = new CrashFs();
  const { node } = await open(files);
  for (const name of ['a', 'b', 'c']) await put(node, 'd', name, bytesOf(50));
  await act(node);
  const names = await namesOf(await afterCrash(files), 'd');
  expect(names).toEqual(expect.arrayContaining(['a', 'c']));
});

test('a listing has what is in the buffer and what is durable, each once and in order', async () => {
  const { node } = await open(new CrashFs());
  const even = [0, 2, 4, 6, 8].map((i) => `n/${i}`);
  for (const name of [...even, 'z/1']) await put(node, 'd', name, bytesOf(1));
  await node.flush();
  for (const name of ['a', 'n/1', 'n/4', 'n/9', 'o', 'z/2']) await put(node, 'd', name, bytesOf(7));
  const all = ['a', 'n/0', 'n/1', 'n/2', 'n/4', 'n/6', 'n/8', 'n/9', 'o', 'z/1', 'z/2'];
  expect(await namesOf(node, 'd')).toEqual(all);
  const listed: string[] = [];
  for (let after: string | undefined = ''; after !== undefined;) {
    const page = await node.list('d', { after, limit: 2 });
    listed.push(...page.objects.map(({ name }) => name));
    after = page.next;
  }
  expect(listed).toEqual(all);
  const page = await node.list('d', { delimiter: '/' });
  expect(page).toMatchObject({ objects: [{ name: 'a' }, { name: 'o' }], prefixes: ['n/', 'z/'] });
  const below = await node.list('d', { prefix: 'n/', after: 'n/3' });
  expect(below.objects.map(({ name, sizeBytes }) => [name, sizeBytes])).toEqual([
    ['n/4', 7],
    ['n/6', 1],
    ['n/8', 1],
    ['n/9', 7],
  ]);
  expect((await node.figures()).writeBuffer.puts).toBe(6);
});

test('conditions see what is in the buffer', async () => {
  const { node } = await open(new CrashFs());
  const body = bytesOf(10);
  await put(node, 'd', 'a', body);
  const only = { condition: { ifNoneMatch: '*' as const } };
  await expect(put(node, 'd', 'a', bytesOf(1), META, only)).rejects.toMatchObject({
    code: 'PRECONDITION_FAILED',
  });
  const same = { condition: { ifMatch: [etagOf(body)] } };
  await put(node, 'd', 'a', bytesOf(2), META, same);
  await put(node, 'd', 'a', bytesOf(3));
  await expect(node.delete('d', 'a', same)).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' });
  expect(await node.delete('d', 'a')).toBe(true);
  expect(await node.info('d', 'a')).toBeUndefined();
});

test('a bucket with a PUT in the buffer is not empty', async () => {
  const { node } = await open(new CrashFs());
  await put(node, 'd', 'a', bytesOf(10));
  await expect(node.deleteBucket('d')).rejects.toMatchObject({ code: 'BUCKET_NOT_EMPTY' });
  await node.delete('d', 'a');
  // A PUT that arrives while the bucket is deleted is either in time, or refused.
  const deleted = node.deleteBucket('d').then(
    () => true,
    () => false,
  );
  const stored = put(node, 'd', 'b', bytesOf(10)).then(
    () => true,
    () => false,
  );
  expect(await deleted).toBe(!(await stored));
});

test('a PUT while its name is deleted does not vanish after the delete has ended', async () => {
  const gate = new Gate();
  const files = new CrashFs({ scheduler: gate });
  const { node } = await open(files);
  await put(node, 'd', 'a', bytesOf(10));
  await node.flush();
  // Another change keeps the metadata busy, so that the delete has to wait.
  const releaseMetadata = gate.hold(METADATA_SYNCS);
  const { groups } = (await node.figures()).writes;
  const other = put(node, 'b', 'x', bytesOf(10));
  await vi.waitUntil(async () => (await node.figures()).writes.groups > groups);
  const deleted = node.delete('d', 'a');
  const releaseVolumes = gate.hold(VOLUME_SYNCS);
  let isStored = false;
  const stored = put(node, 'd', 'a', bytesOf(20)).then(() => (isStored = true));
  await new Promise((resolve) => setImmediate(resolve));
  const flushed = node.flush();
  await new Promise((resolve) => setImmediate(resolve));
  releaseMetadata();
  await Promise.all([other, deleted]);
  const seen = await node.info('d', 'a');
  const wasStored = isStored;
  releaseVolumes();
  await Promise.all([stored, flushed]);
  const found = await node.info('d', 'a');
  // Between two acknowledged calls nothing changes any more.
  if (wasStored) expect(found).toEqual(seen);
  expect(await (await afterCrash(files)).info('d', 'a')).toEqual(found);
});

test('the buffer is written when it is more than half full, and a full one is busy', async () => {
  const gate = new Gate();
  const files = new CrashFs({ scheduler: gate });
  const options = { writeBufferBytes: 10_000, maxWaiting: 1, maxWaitMs: 5 };
  const { node } = await open(files, options);
  await put(node, 'd', 'a', bytesOf(4_000));
  expect((await node.figures()).writeBuffer).toMatchObject({ puts: 1, flushes: 0 });
  await put(node, 'd', 'b', bytesOf(4_000));
  await vi.waitUntil(async () => (await node.figures()).writeBuffer.puts === 0);
  const release = gate.hold(VOLUME_SYNCS);
  await put(node, 'd', 'c', bytesOf(4_000));
  await put(node, 'd', 'e', bytesOf(4_000));
  await expect(put(node, 'd', 'f', bytesOf(4_000))).rejects.toMatchObject({ code: 'BUSY' });
  expect(await node.info('d', 'f')).toBeUndefined();
  release();
  await node.flush();
  await put(node, 'd', 'f', bytesOf(4_000));
  await node.flush();
  expect((await node.figures()).writeBuffer).toMatchObject({ puts: 0, bytes: 0, waiting: 0 });
  expect(await namesOf(await afterCrash(files), 'd')).toEqual(['a', 'b', 'c', 'e', 'f']);
});

test('a PUT that waits for room is acknowledged when there is room', async () => {
  const gate = new Gate();
  const files = new CrashFs({ scheduler: gate });
  const { node } = await open(files, { writeBufferBytes: 10_000, maxWaitMs: 60_000 });
  const release = gate.hold(VOLUME_SYNCS);
  await put(node, 'd', 'a', bytesOf(6_000));
  const waiting = put(node, 'd', 'b', bytesOf(6_000));
  await vi.waitUntil(async () => (await node.figures()).writeBuffer.waiting === 1);
  release();
  await waiting;
  await node.flush();
  expect(await namesOf(await afterCrash(files), 'd')).toEqual(['a', 'b']);
});

test('the buffer is written each second', async () => {
  const files = new CrashFs();
  const { node } = await open(files, { writeBufferMs: 1_000 });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  await put(node, 'd', 'a', bytesOf(10));
  vi.advanceTimersByTime(999);
  expect((await node.figures()).writeBuffer).toMatchObject({ puts: 1, flushes: 0 });
  vi.advanceTimersByTime(1);
  await vi.waitUntil(async () => (await node.figures()).writeBuffer.puts === 0);
  vi.useRealTimers();
  expect(await namesOf(await afterCrash(files), 'd')).toEqual(['a']);
});

test('a buffer that cannot be written stays, is served, refuses PUTs, and is written later', async () => {
  const files = new CrashFs();
  const { node } = await open(files, { writeBufferMs: 1_000 });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const body = bytesOf(100);
  await put(node, 'd', 'a', body);
  files.faults.add({ call: 'write', error: 'EIO', path: /\.vol$/, mode: 'sticky' });
  for (let failed = 1; failed <= 3; failed++) {
    vi.advanceTimersByTime(1_000);
    await vi.waitUntil(async () => (await node.figures()).writeBuffer.failedFlushes === failed);
  }
  const figures = await node.figures();
  expect(figures.writeBuffer).toMatchObject({
    puts: 1,
    failing: [{ bucket: 'd', reason: expect.stringContaining('EIO') as string }],
  });
  // Reported once, counted each time.
  expect(figures.recentErrors.filter(({ message }) => message.includes('bucket "d"'))).toHaveLength(
    1,
  );
  expectSame(await get(node, 'd', 'a'), body);
  const refused = { code: 'BUSY', message: expect.stringContaining('EIO') as string };
  await expect(put(node, 'd', 'b', bytesOf(1))).rejects.toMatchObject(refused);
  await expect(put(node, 'd', 'b', bytesOf(70_000))).rejects.toMatchObject(refused);
  await expect(node.delete('d', 'a')).rejects.toMatchObject(refused);
  expect(await namesOf(node, 'd')).toEqual(['a']);
  await expect(node.flush()).rejects.toMatchObject(refused);
  expect((await node.describeBuckets()).map(({ name }) => name)).toEqual(['b', 'd']);
  files.faults.clear();
  vi.advanceTimersByTime(1_000);
  await vi.waitUntil(async () => (await node.figures()).writeBuffer.puts === 0);
  expect((await node.figures()).writeBuffer.failing).toEqual([]);
  await put(node, 'd', 'b', bytesOf(1));
  await node.flush();
  vi.useRealTimers();
  const again = await afterCrash(files);
  expectSame(await get(again, 'd', 'a'), body);
  expect(await again.recount()).toMatchObject({ isExact: true, objects: 2 });
});

test('a failed write of the metadata does not write the bytes again', async () => {
  const files = new CrashFs();
  const { node } = await open(files);
  await put(node, 'd', 'a', bytesOf(1_000));
  const fault = { call: 'write', error: 'ENOSPC', path: /metadata/, mode: 'sticky' } as const;
  files.faults.add(fault);
  await expect(node.flush()).rejects.toMatchObject({ code: 'BUSY' });
  await expect(node.flush()).rejects.toMatchObject({ code: 'BUSY' });
  const { groups } = (await node.figures()).writes;
  files.faults.clear();
  await node.flush();
  expect((await node.figures()).writes.groups).toBe(groups);
  expect(await namesOf(await afterCrash(files), 'd')).toEqual(['a']);
});

test('on a full disk, objects of the bucket that are durable can be deleted', async () => {
  const files = new CrashFs();
  const { node } = await open(files);
  await put(node, 'd', 'durable', bytesOf(1_000));
  await node.flush();
  await put(node, 'd', 'buffered', bytesOf(1_000));
  files.faults.add({ call: 'write', error: 'ENOSPC', path: /\.vol$/, mode: 'sticky' });
  await expect(node.delete('d', 'buffered')).rejects.toMatchObject({ code: 'BUSY' });
  expect(await node.delete('d', 'durable')).toBe(true);
  expect(await node.info('d', 'durable')).toBeUndefined();
  files.faults.clear();
  await node.settled();
  expect(await namesOf(await afterCrash(files), 'd')).toEqual(['buffered']);
});

test('closing a node that cannot write its buffer fails, and names what is lost', async () => {
  const files = new CrashFs();
  const { node } = await open(files);
  await put(node, 'd', 'a', bytesOf(1_000));
  files.faults.add({ call: 'write', error: 'EIO', path: /\.vol$/, mode: 'sticky' });
  await expect(node.close()).rejects.toThrow('the write buffer of bucket "d" cannot be written');
  await expect(put(node, 'd', 'b', bytesOf(1))).rejects.toMatchObject({ code: 'CLOSED' });
});

test('an ETag that cannot be stored is refused before it is acknowledged', async () => {
  const { node } = await open(new CrashFs());
  const describe = () => ({ etag: 'x', meta: META });
  await expect(node.put('d', 'a', [bytesOf(1)], { describe })).rejects.toMatchObject({
    code: 'BAD_ETAG',
  });
  await node.flush();
});

test('what is in the buffer counts as used space', async () => {
  const files = new CrashFs({ capacityBytes: 3 * 2 ** 20 });
  const { node } = await open(files, { reserveBytes: 2 ** 20, extentBytes: 2 ** 20 });
  const sizeBytes = 200_000;
  const putOne = (name: string) => put(node, 'd', name, bytesOf(sizeBytes), META, { sizeBytes });
  let stored = 0;
  const refused = await (async () => {
    for (; ; stored++) await putOne(`n${stored}`);
  })().catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'NO_SPACE' });
  expect(stored).toBeGreaterThan(3);
  await node.flush();
  expect(await namesOf(await afterCrash(files), 'd')).toHaveLength(stored);
});
