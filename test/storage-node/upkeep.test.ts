import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { bytesOf, expectSame, get, openNode, put } from './support/nodes.ts';

async function volumeBytes(directory: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(join(directory, 'volumes'))) {
    bytes += (await stat(join(directory, 'volumes', name))).size;
  }
  return bytes;
}

test('compaction frees the space of dead records and keeps live ones', async () => {
  const directory = await temporaryDirectory();
  const node = await openNode(directory);
  await node.createBucket('b');
  const bodies = new Map<string, Buffer>();
  for (let i = 0; i < 200; i++) bodies.set(`n${i}`, bytesOf(i % 10 === 0 ? 200_000 : 20_000));
  await Promise.all([...bodies].map(([name, body]) => put(node, 'b', name, body)));
  const gone = [...bodies.keys()].filter((_, i) => i % 4 !== 0);
  await Promise.all(gone.map((name) => node.delete('b', name)));
  for (const name of gone) bodies.delete(name);
  await node.settled();
  const reader = (await node.open('b', 'n40'))!;
  const before = await volumeBytes(directory);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 50 });
  expect(await node.compact()).toBeGreaterThan(3);
  // One volume is still being read, so its file stays.
  const pieces: Uint8Array[] = [];
  for await (const piece of reader.body()) pieces.push(piece);
  expectSame(Buffer.concat(pieces), bodies.get('n40')!);
  await node.settled();
  expect(await volumeBytes(directory)).toBeLessThan(0.6 * before);
  expect(await node.recount()).toMatchObject({ isExact: true, objects: 50 });
  for (const [name, body] of bodies) expectSame(await get(node, 'b', name), body);
  await node.close();
  const again = await openNode(directory);
  expect(await again.recount()).toMatchObject({ isExact: true, objects: 50 });
  for (const [name, body] of bodies) expectSame(await get(again, 'b', name), body);
  const report = await again.scrub();
  expect(report.damages).toEqual([]);
  const figures = await again.figures();
  expect(figures.objects).toBe(50);
  expect(figures.scrub.finishedMs).toBeGreaterThan(0);
});

test('a bucket with a quota drops its oldest volume and every object with bytes in it', async () => {
  const directory = await temporaryDirectory();
  const node = await openNode(directory);
  await node.createBucket('cache', { mode: 'quota', quotaBytes: 2 ** 20 });
  await node.createBucket('keep');
  await put(node, 'keep', 'a', bytesOf(1000));
  for (let i = 0; i < 100; i++) {
    await put(
      node,
      'cache',
      `n${String(i).padStart(3, '0')}`,
      bytesOf(i % 7 === 0 ? 150_000 : 20_000),
    );
    if (i % 10 === 0) await node.compact();
  }
  await node.compact();
  await node.settled();
  const { objects } = await node.list('cache');
  expect(objects.length).toBeGreaterThan(5);
  expect(objects.length).toBeLessThan(60);
  expect(objects.at(-1)!.name).toBe('n099');
  for (const { name, sizeBytes } of objects) {
    expect((await get(node, 'cache', name))!.length).toBe(sizeBytes);
  }
  expect(await get(node, 'keep', 'a')).toBeDefined();
  expect(await volumeBytes(directory)).toBeLessThan(1.5 * 2 ** 20);
  expect(await node.recount()).toMatchObject({ isExact: true });
});

/** What the files of the volumes take of the disk. */
async function takenBytes(directory: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(join(directory, 'volumes'))) {
    bytes += 512 * (await stat(join(directory, 'volumes', name))).blocks;
  }
  return bytes;
}

test('where space is short and compaction not worth it, dead bodies are punched out of the file', async () => {
  const directory = await temporaryDirectory();
  const node = await openNode(directory, { extentBytes: 2 ** 19 });
  await node.createBucket('b');
  const bodies = new Map<string, Buffer>();
  for (let i = 0; i < 14; i++) {
    bodies.set(`n${i}`, bytesOf(73_000));
    await put(node, 'b', `n${i}`, bodies.get(`n${i}`)!);
  }
  await put(node, 'b', 'next', bytesOf(90_000));
  await node.delete('b', 'n5');
  bodies.delete('n5');
  await node.settled();
  await node.close();
  const before = await takenBytes(directory);
  // As if the disk were nearly full.
  const short = await openNode(directory, { reserveBytes: 2 ** 50, compactDeadRatio: 1 });
  const { volumes } = await short.figures();
  await short.compact();
  const taken = await takenBytes(directory);
  expect(before - taken).toBeGreaterThanOrEqual(60 * 1024);
  expect((await short.figures()).volumes).toHaveLength(volumes.length);
  for (const [name, body] of bodies) expectSame(await get(short, 'b', name), body);
  expect((await short.scrub()).damages).toEqual([]);
  expect(await short.recount()).toMatchObject({ isExact: true });
  await short.close();
  // What is left of the dead record is passed over when the volume is emptied.
  const again = await openNode(directory, { compactDeadRatio: 0.01 });
  expect(await again.compact()).toBeGreaterThan(0);
  await again.settled();
  for (const [name, body] of bodies) expectSame(await get(again, 'b', name), body);
  expect(await again.recount()).toMatchObject({ isExact: true });
});

test('a program that awaits upkeep with a limited rate does not end before it', async () => {
  const node = await openNode(await temporaryDirectory(), { compactBytesPerSecond: 1 });
  await node.createBucket('b');
  for (let i = 0; i < 30; i++) await put(node, 'b', `n${i}`, bytesOf(60_000));
  for (let i = 0; i < 29; i++) await node.delete('b', `n${i}`);
  await node.settled();
  // The timers that these calls start, not those of the process: others of the test runner end
  // whenever they are due.
  const started = vi.spyOn(globalThis, 'setInterval');
  const cleared = vi.spyOn(globalThis, 'clearInterval');
  onTestFinished(() => {
    started.mockRestore();
    cleared.mockRestore();
  });
  const work = [node.compact(), node.scrub({ bytesPerSecond: 1 })];
  const holding = started.mock.results
    .map(({ value }) => value as NodeJS.Timeout)
    .filter((timer) => timer.hasRef());
  expect(holding).toHaveLength(work.length);
  expect(cleared).not.toHaveBeenCalled();
  await node.close();
  await Promise.all(work);
  const ended = cleared.mock.calls.map(([timer]) => timer);
  for (const timer of holding) expect(ended).toContain(timer);
});
