import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { NodeOptions } from '../../examples/storage-node/src/node-options.ts';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import type { StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { bytesOf, etagOf, expectSame, get, openNode, put, SMALL } from './support/nodes.ts';

const BLOCK = 65_536;
/** Records of up to four blocks. */
const BLOCKS: NodeOptions = { extentBytes: 4 * BLOCK, volumeBytes: 2 ** 22 };

/** Shrinks to less than a third. */
function textOf(count: number): Buffer {
  const lines: string[] = [];
  for (let bytes = 0; bytes < count; bytes += lines.at(-1)!.length) {
    lines.push(`{"id":${lines.length},"name":"object ${lines.length % 97}","tags":["a","b"]}\n`);
  }
  return Buffer.from(lines.join('')).subarray(0, count);
}

/** Blocks that shrink and blocks that do not, in turn. */
function mixedOf(count: number): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 0; at < count; at += BLOCK) {
    const length = Math.min(BLOCK, count - at);
    blocks.push((at / BLOCK) % 2 === 0 ? textOf(length) : randomBytes(length));
  }
  return Buffer.concat(blocks);
}

async function openCompressed(directory: string, options = BLOCKS): Promise<StorageNode> {
  const node = await openNode(directory, options);
  await node.createBucket('zip', { mode: 'keep', compression: 'zstd' });
  return node;
}

async function liveBytes(node: StorageNode): Promise<number> {
  const { volumes } = await node.figures();
  return volumes
    .filter((volume) => volume.class !== 'index')
    .reduce((sum, volume) => sum + volume.liveBytes, 0);
}

async function versionsOf(directory: string): Promise<number[]> {
  const names = (await readdir(join(directory, 'volumes'))).sort();
  const files = await Promise.all(names.map((name) => readFile(join(directory, 'volumes', name))));
  // The kind 1 is an index.
  return files.filter((file) => file.readUInt32LE(12) !== 1).map((file) => file.readUInt32LE(8));
}

const SIZES = [
  0,
  1,
  63,
  64,
  65,
  1000,
  BLOCK - 1,
  BLOCK,
  BLOCK + 1,
  2 * BLOCK - 1,
  2 * BLOCK,
].concat([2 * BLOCK + 1, 4 * BLOCK - 1, 4 * BLOCK, 4 * BLOCK + 1, 9 * BLOCK + 17]);

test('bodies of all sizes around the boundaries of blocks and extents are read as they were sent', async () => {
  const directory = await temporaryDirectory();
  const node = await openCompressed(directory);
  const bodies = new Map<string, Buffer>();
  for (const size of SIZES) {
    bodies.set(`text ${size}`, textOf(size));
    bodies.set(`random ${size}`, bytesOf(size));
    bodies.set(`mixed ${size}`, mixedOf(size));
  }
  for (const [name, body] of bodies) {
    // In pieces that end within blocks.
    const pieces: Buffer[] = [];
    for (let at = 0; at < body.length; at += 50_001) pieces.push(body.subarray(at, at + 50_001));
    const describe = () => ({ etag: etagOf(body), meta: { headers: {} } });
    await node.put('zip', name, pieces, { describe });
  }
  const check = async (opened: StorageNode): Promise<void> => {
    for (const [name, body] of bodies) {
      expectSame(await get(opened, 'zip', name), body);
      expect(await opened.info('zip', name)).toMatchObject({
        sizeBytes: body.length,
        etag: etagOf(body),
      });
    }
    expect(await opened.recount()).toMatchObject({ isExact: true });
    expect((await opened.scrub()).damages).toEqual([]);
  };
  await check(node);
  await node.close();
  await check(await openNode(directory, BLOCKS));
});

test('a body that does not shrink is stored as without compression, one that does takes less', async () => {
  const node = await openCompressed(await temporaryDirectory());
  await node.createBucket('plain');
  const grown = async (bucket: string, name: string, body: Buffer): Promise<number> => {
    const before = await liveBytes(node);
    await put(node, bucket, name, body);
    return (await liveBytes(node)) - before;
  };
  for (const size of [0, 10, 63, 3000, BLOCK, 3 * BLOCK + 5]) {
    const body = bytesOf(size);
    expect(await grown('zip', 'same', body)).toBe(await grown('plain', 'same', body));
    await node.delete('zip', 'same');
    await node.delete('plain', 'same');
  }
  expect(await grown('zip', 'text', textOf(3 * BLOCK))).toBeLessThan(BLOCK);
  // The block that shrinks makes up for the other.
  expect(await grown('zip', 'mixed', mixedOf(2 * BLOCK))).toBeLessThan(1.4 * BLOCK);
});

test('a range at every boundary of blocks has exactly its bytes', async () => {
  const node = await openCompressed(await temporaryDirectory());
  const edges = [0, 1, 2, 3, 4].flatMap((block) => [-1, 0, 1].map((by) => block * BLOCK + by));
  for (const [name, size] of [
    ['one record', 3 * BLOCK + 100],
    ['extents', 5 * BLOCK + 100],
  ] as const) {
    for (const body of [textOf(size), mixedOf(size), bytesOf(size)]) {
      await put(node, 'zip', name, body);
      const places = [...edges, size - 1, size].filter((at) => at >= 0 && at <= size);
      for (const startBytes of places) {
        for (const endBytes of places.filter((at) => at >= startBytes)) {
          const found = await get(node, 'zip', name, { startBytes, endBytes });
          expect(found!.equals(body.subarray(startBytes, endBytes))).toBe(true);
        }
      }
    }
  }
});

test('a range reads the blocks that it touches and their table, not the others', async () => {
  const node = await openCompressed(await temporaryDirectory(), { extentBytes: 64 * BLOCK });
  const body = bytesOf(40 * BLOCK);
  textOf(BLOCK).copy(body, 0);
  await put(node, 'zip', 'n', body);
  const before = (await node.figures()).reads.readBytes;
  const range = { startBytes: 30 * BLOCK + 5, endBytes: 31 * BLOCK + 5 };
  expectSame(await get(node, 'zip', 'n', range), body.subarray(range.startBytes, range.endBytes));
  expect((await node.figures()).reads.readBytes - before).toBeLessThan(2 * BLOCK + 8_192);
});

test('parts that shrink, parts that do not, and both are one object', async () => {
  const directory = await temporaryDirectory();
  const node = await openCompressed(directory);
  const parts = [bytesOf(BLOCK), textOf(5 * BLOCK + 3), mixedOf(3 * BLOCK), bytesOf(5), textOf(99)];
  const { uploadId } = await node.createUpload('zip', 'n', { headers: {} });
  const infos = [];
  for (const [i, part] of parts.entries()) {
    const describe = () => ({ etag: etagOf(part), meta: { headers: {} } });
    infos.push(await node.putPart(uploadId, i + 1, [part], { describe, sizeBytes: part.length }));
  }
  expect(infos.map(({ etag }) => etag)).toEqual(parts.map(etagOf));
  const description = { etag: `${etagOf(Buffer.concat(parts))}-5`, meta: { headers: {} } };
  await node.completeUpload('zip', 'n', uploadId, infos, description);
  const whole = Buffer.concat(parts);
  expectSame(await get(node, 'zip', 'n'), whole);
  let at = 0;
  for (const part of parts) {
    for (const startBytes of [at, at + 1]) {
      const range = { startBytes, endBytes: Math.min(whole.length, startBytes + part.length) };
      expectSame(await get(node, 'zip', 'n', range), whole.subarray(startBytes, range.endBytes));
    }
    at += part.length;
  }
  expect(await node.recount()).toMatchObject({ isExact: true });
  await node.delete('zip', 'n');
  await node.settled();
  expect(await node.recount()).toMatchObject({ isExact: true });
});

test('a change of metadata keeps the stored bytes', async () => {
  const node = await openCompressed(await temporaryDirectory());
  for (const body of [textOf(3 * BLOCK + 7), mixedOf(2 * BLOCK), textOf(6 * BLOCK), bytesOf(99)]) {
    await put(node, 'zip', 'n', body);
    const before = await liveBytes(node);
    await node.setMeta('zip', 'n', ({ meta }) => ({ ...meta, tags: { tag: 'x'.repeat(50) } }));
    expect((await liveBytes(node)) - before).toBeLessThan(100);
    expectSame(await get(node, 'zip', 'n'), body);
    await node.setMeta('zip', 'n', ({ meta }) => ({ headers: meta.headers }));
    expect(await liveBytes(node)).toBe(before);
    expectSame(await get(node, 'zip', 'n'), body);
  }
  expect(await node.recount()).toMatchObject({ isExact: true });
});

test('compaction and a rebuild keep compressed records as they are', async () => {
  const directory = await temporaryDirectory();
  const node = await openCompressed(directory, { ...BLOCKS, volumeBytes: 2 ** 19 });
  await node.createBucket('plain');
  const bodies = new Map<string, Buffer>();
  for (let i = 0; i < 24; i++) {
    bodies.set(
      `n${i}`,
      [textOf, mixedOf, bytesOf][i % 3]!((i % 4) * 100_000 + (i % 5) * 9_000 + 1),
    );
    await put(node, 'zip', `n${i}`, bodies.get(`n${i}`)!);
    await put(node, 'plain', `n${i}`, textOf(100_000));
  }
  for (let i = 0; i < 24; i++) if (i % 5 !== 0) await node.delete('plain', `n${i}`);
  const before = await liveBytes(node);
  expect(await node.compact()).toBeGreaterThan(0);
  await node.settled();
  // Copies have the length of their originals.
  expect(await liveBytes(node)).toBe(before);
  const check = async (opened: StorageNode): Promise<void> => {
    for (const [name, body] of bodies) {
      expectSame(await get(opened, 'zip', name), body);
      const range = { startBytes: Math.floor(body.length / 2), endBytes: body.length };
      expectSame(await get(opened, 'zip', name, range), body.subarray(range.startBytes));
    }
    expect(await opened.recount()).toMatchObject({ isExact: true });
    expect((await opened.scrub()).damages).toEqual([]);
  };
  await check(node);
  await node.close();
  expect(await rebuildIndex(directory, SMALL)).toMatchObject({ lostObjects: 0, gaps: 0 });
  const again = await openNode(directory, BLOCKS);
  await check(again);
  // The bucket is still compressed.
  const grown = await liveBytes(again);
  await put(again, 'zip', 'later', textOf(3 * BLOCK));
  expect((await liveBytes(again)) - grown).toBeLessThan(BLOCK);
});

test('only volumes with compressed records are of version 2, also after a restart', async () => {
  const directory = await temporaryDirectory();
  const node = await openNode(directory);
  await node.createBucket('plain');
  await put(node, 'plain', 'n', textOf(50_000));
  expect(await versionsOf(directory)).toEqual([1]);
  await node.close();
  const again = await openCompressed(directory);
  await put(again, 'zip', 'small', textOf(10));
  await put(again, 'plain', 'm', textOf(50_000));
  expect(await versionsOf(directory)).toEqual([1]);
  await put(again, 'zip', 'n', textOf(50_000));
  await put(again, 'plain', 'o', textOf(50_000));
  expect(await versionsOf(directory)).toEqual([1, 2]);
  await again.close();
  const third = await openNode(directory, { ...BLOCKS, compactDeadRatio: 0.1 });
  await put(third, 'zip', 'o', textOf(50_000));
  expect(await versionsOf(directory)).toEqual([1, 2]);
  // What is left of version 1 is copied beside what is left of version 2.
  await third.delete('plain', 'n');
  await third.delete('plain', 'o');
  await third.close();
  const last = await openNode(directory, {
    ...BLOCKS,
    compactDeadRatio: 0.1,
    reserveBytes: 2 ** 50,
  });
  await last.compact();
  await last.settled();
  expect(new Set(await versionsOf(directory)).has(2)).toBe(true);
  for (const name of ['n', 'o']) expectSame(await get(last, 'zip', name), textOf(50_000));
});

test('bodies of many requests at once are compressed within the memory of the queue', async () => {
  const node = await openCompressed(await temporaryDirectory(), {
    ...BLOCKS,
    queueBytes: 8 * BLOCK,
    maxWaitMs: 60_000,
  });
  const bodies = Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? textOf : mixedOf)(9 * BLOCK));
  let mostBytes = 0;
  const watched = async (i: number): Promise<void> => {
    const body = (async function* () {
      for (let at = 0; at < bodies[i]!.length; at += 30_000) {
        yield bodies[i]!.subarray(at, at + 30_000);
        mostBytes = Math.max(mostBytes, (await node.figures()).writes.queuedBytes);
      }
    })();
    const describe = () => ({ etag: etagOf(bodies[i]!), meta: { headers: {} } });
    await node.put('zip', `n${i}`, body, { describe });
  };
  await Promise.all(bodies.map((_, i) => watched(i)));
  expect(mostBytes).toBeLessThan(8 * BLOCK + 12 * 4 * BLOCK);
  // Every byte is given back, and not more.
  expect((await node.figures()).writes.queuedBytes).toBe(0);
  for (const [i, body] of bodies.entries()) expectSame(await get(node, 'zip', `n${i}`), body);
});

test('a bucket with deferred acknowledgement compresses what it has acknowledged', async () => {
  const directory = await temporaryDirectory();
  const node = await openNode(directory, BLOCKS);
  const policy = { mode: 'keep', acknowledge: 'deferred', compression: 'zstd' } as const;
  await node.createBucket('both', policy);
  const bodies = [textOf(2 * BLOCK + 5), bytesOf(1000), mixedOf(3 * BLOCK), textOf(0)];
  for (const [i, body] of bodies.entries()) {
    await put(node, 'both', `n${i}`, body);
    expectSame(await get(node, 'both', `n${i}`), body);
  }
  await node.close();
  const again = await openNode(directory, BLOCKS);
  for (const [i, body] of bodies.entries()) expectSame(await get(again, 'both', `n${i}`), body);
  expect(await liveBytes(again)).toBeLessThan(3 * BLOCK);
  expect(await again.recount()).toMatchObject({ isExact: true });
});

test('an unknown compression is refused', async () => {
  const node = await openNode(await temporaryDirectory());
  const policy = { mode: 'keep', compression: 'gzip' } as never;
  await expect(node.createBucket('b', policy)).rejects.toMatchObject({ code: 'BAD_OPTION' });
  expect(node.bucket('b')).toBeUndefined();
});
