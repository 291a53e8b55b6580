import { expect, onTestFinished, test } from 'vitest';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { bytesOf, etagOf, expectSame, get, openNode, put, SMALL } from './support/nodes.ts';

test('an object survives a close of the node, byte for byte', async () => {
  const directory = await temporaryDirectory();
  const node = await openNode(directory);
  expect(await node.createBucket('photos')).toBe(true);
  expect(await node.createBucket('photos')).toBe(false);
  const bodies = new Map<string, Buffer>();
  for (const size of [0, 1, 100, 65_535, 65_536, 65_537, 131_072, 200_000, 1_000_000]) {
    const name = `größe/${size}`;
    bodies.set(name, bytesOf(size));
    const info = await put(node, 'photos', name, bodies.get(name)!, {
      headers: { 'content-type': 'image/x', 'x-amz-meta-a': 'ü' },
    });
    expect(info).toMatchObject({ bucket: 'photos', name, sizeBytes: size });
  }
  for (const [name, body] of bodies) expectSame(await get(node, 'photos', name), body);
  await node.close();
  const again = await openNode(directory);
  for (const [name, body] of bodies) {
    expectSame(await get(again, 'photos', name), body);
    const info = await again.info('photos', name);
    expect(info).toMatchObject({ sizeBytes: body.length, etag: etagOf(body) });
    const reader = (await again.open('photos', name))!;
    expect(reader.details.meta.headers).toEqual({ 'content-type': 'image/x', 'x-amz-meta-a': 'ü' });
    reader.close();
    const { length } = body;
    for (const [startBytes, endBytes] of [
      [0, 1],
      [length - 1, length],
      [65_535, 65_537],
      [60_000, 140_000],
    ] as const) {
      const range = { startBytes, endBytes };
      const part = await get(again, 'photos', name, range);
      expectSame(part, body.subarray(Math.max(0, startBytes), Math.max(0, endBytes)));
    }
  }
  const listed = await again.list('photos');
  expect(listed.objects.map(({ name }) => name)).toEqual([...bodies.keys()].sort());
});

test('times of objects are right once a wrong clock is', async () => {
  const clock = { ms: Date.UTC(2036, 0, 1) };
  const environment = { ...MACHINE, files: new CrashFs(), now: () => clock.ms };
  const open = async (): Promise<StorageNode> => {
    const node = await StorageNode.open('/node', SMALL, environment);
    onTestFinished(() => node.close());
    return node;
  };
  const node = await open();
  await node.createBucket('b');
  const rightMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
  const times = { right: rightMs, late: Date.UTC(2090, 0, 1), early: 1_000 };
  for (const [name, ms] of Object.entries(times)) {
    clock.ms = ms;
    await put(node, 'b', name, bytesOf(10));
  }
  const yearsOf = async (from: StorageNode): Promise<Record<string, number>> => {
    const { objects } = await from.list('b');
    expect(objects.find(({ name }) => name === 'right')?.modifiedMs).toBe(rightMs);
    const year = (ms: number): number => new Date(ms).getUTCFullYear();
    return Object.fromEntries(objects.map(({ name, modifiedMs }) => [name, year(modifiedMs)]));
  };
  // There is no room for the others.
  const years = { early: 2020, late: 2054, right: 2026 };
  expect(await yearsOf(node)).toEqual(years);
  await node.close();
  await rebuildIndex('/node', SMALL, {}, environment);
  expect(await yearsOf(await open())).toEqual(years);
});

test('preconditions are checked in the step that publishes', async () => {
  const node = await openNode(await temporaryDirectory());
  await node.createBucket('b');
  const [one, other] = [bytesOf(10), bytesOf(11)];
  const ifNoneMatch = { condition: { ifNoneMatch: '*' as const } };
  const results = await Promise.allSettled([
    put(node, 'b', 'n', one, undefined, ifNoneMatch),
    put(node, 'b', 'n', other, undefined, ifNoneMatch),
  ]);
  expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  await expect(
    put(node, 'b', 'n', one, undefined, { condition: { ifMatch: ['0'.repeat(32)] } }),
  ).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' });
  await expect(
    node.delete('b', 'n', { condition: { ifMatch: ['0'.repeat(32)] } }),
  ).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' });
  const { modifiedMs, sizeBytes } = (await node.info('b', 'n'))!;
  const ifModifiedSecond = Math.floor(modifiedMs / 1000);
  const wrong = [{ ifSizeBytes: sizeBytes + 1 }, { ifModifiedSecond: ifModifiedSecond - 1 }];
  for (const condition of wrong) {
    await expect(node.delete('b', 'n', { condition })).rejects.toMatchObject({
      code: 'PRECONDITION_FAILED',
    });
  }
  const condition = { ifMatch: '*' as const, ifSizeBytes: sizeBytes, ifModifiedSecond };
  expect(await node.delete('b', 'n', { condition })).toBe(true);
  expect(await node.delete('b', 'n')).toBe(false);
  expect(await get(node, 'b', 'n')).toBeUndefined();
  await expect(put(node, 'b', 'x', one, undefined, { sizeBytes: 9 })).rejects.toMatchObject({
    code: 'WRONG_SIZE',
  });
  await expect(put(node, 'nowhere', 'x', one)).rejects.toMatchObject({ code: 'NO_SUCH_BUCKET' });
});

test('parts become an object in one batch, and a repeated request finds it', async () => {
  const node = await openNode(await temporaryDirectory());
  await node.createBucket('b');
  const upload = await node.createUpload('b', 'big', { headers: { a: 'b' } });
  // No client takes it for a number. Older ids had no letter.
  expect(upload.uploadId).toMatch(/^u[0-9a-f]{22}$/);
  expect(await node.parts(upload.uploadId.slice(1))).toEqual([]);
  const bodies = [bytesOf(200_000), bytesOf(70_000), bytesOf(5)];
  const parts = [];
  for (const [i, body] of bodies.entries()) {
    parts.push(
      await node.putPart(upload.uploadId, i + 1, [body], {
        describe: () => ({ etag: etagOf(body), meta: { headers: {} } }),
      }),
    );
  }
  await node.putPart(upload.uploadId, 9, [bodies[2]!], {
    describe: () => ({ etag: etagOf(bodies[2]!), meta: { headers: {} } }),
  });
  expect((await node.uploads('b')).uploads).toHaveLength(1);
  expect((await node.parts(upload.uploadId)).map(({ number }) => number)).toEqual([1, 2, 3, 9]);
  const description = { etag: `${'a'.repeat(32)}-3`, meta: { headers: { a: 'b' } } };
  const bad = [{ number: 1, etag: 'b'.repeat(32) }];
  await expect(
    node.completeUpload('b', 'big', upload.uploadId, bad, description),
  ).rejects.toMatchObject({ code: 'INVALID_PART' });
  const info = await node.completeUpload('b', 'big', upload.uploadId, parts, description);
  expect(info).toMatchObject({ sizeBytes: 270_005, etag: description.etag });
  const again = await node.completeUpload('b', 'big', upload.uploadId, parts, description);
  expect(again).toEqual(info);
  expectSame(await get(node, 'b', 'big'), Buffer.concat(bodies));
  const range = { startBytes: 199_999, endBytes: 270_001 };
  expectSame(await get(node, 'b', 'big', range), Buffer.concat(bodies).subarray(199_999, 270_001));
  expect((await node.uploads('b')).uploads).toEqual([]);
  const changed = await node.setMeta('b', 'big', ({ meta }) => ({ ...meta, tags: { t: '1' } }));
  expect(changed.etag).toBe(description.etag);
  const reader = (await node.open('b', 'big'))!;
  expect(reader.details.meta).toEqual({ headers: { a: 'b' }, tags: { t: '1' } });
  expect(reader.details.parts).toHaveLength(3);
  reader.close();
  expectSame(await get(node, 'b', 'big'), Buffer.concat(bodies));
  await node.delete('b', 'big');
  await node.deleteBucket('b');
  expect(node.buckets()).toEqual([]);
});
