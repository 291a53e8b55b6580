import { expect, onTestFinished, test } from 'vitest';
import type { OpenFile } from '../../src/fs/index.ts';
import { MACHINE, StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { FileCache } from '../../examples/storage-node/src/volumes/file-cache.ts';
import { CrashFs, type CallKind, type FaultRule } from '../../src/testing/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { bytesOf, expectSame, get, openNode, put, SMALL } from './support/nodes.ts';

/** Files that know whether they are open. */
function cacheOf(most: number): { cache: FileCache; open: Set<number>; opened: number[] } {
  const open = new Set<number>();
  const opened: number[] = [];
  const cache = new FileCache((number) => {
    if (number === 404) return Promise.reject(new Error('missing'));
    open.add(number);
    opened.push(number);
    const close = () => {
      open.delete(number);
      return Promise.resolve();
    };
    return Promise.resolve({ close } as unknown as OpenFile);
  }, most);
  return { cache, open, opened };
}

const nothing = (): Promise<void> => Promise.resolve();

test('the descriptor that was used longest ago is closed', async () => {
  const { cache, open, opened } = cacheOf(2);
  for (const number of [1, 2, 1, 3]) await cache.use(number, nothing);
  await Promise.resolve();
  expect([...open]).toEqual([1, 3]);
  await cache.use(1, nothing);
  expect(opened).toEqual([1, 2, 3]);
  await cache.use(2, nothing);
  await Promise.resolve();
  expect([...open]).toEqual([1, 2]);
  await cache.close();
  expect(open.size).toBe(0);
});

test('a descriptor in use is closed by its last user, whatever the limit is', async () => {
  const { cache, open, opened } = cacheOf(1);
  let end = (): void => {};
  const busy = cache.use(1, () => new Promise<void>((resolve) => (end = resolve)));
  await cache.use(2, nothing);
  expect(open.has(1)).toBe(true);
  await cache.drop(1);
  expect(open.has(1)).toBe(true);
  // Dropped: who comes now gets a new one.
  await cache.use(1, nothing);
  expect(opened.filter((number) => number === 1)).toHaveLength(2);
  end();
  await busy;
  await expect(cache.use(404, nothing)).rejects.toThrow('missing');
  expect(cache.size).toBeLessThan(3);
  await cache.close();
});

test('a node with one descriptor reads all its volumes, and none that is gone', async () => {
  const node = await openNode(await temporaryDirectory(), { maxOpenFiles: 1 });
  await node.createBucket('b');
  const bodies = Array.from({ length: 6 }, () => bytesOf(400_000));
  for (const [i, body] of bodies.entries()) await put(node, 'b', `n${i}`, body);
  const read = bodies.map(async (body, i) => expectSame(await get(node, 'b', `n${i}`), body));
  await Promise.all(read);
  const before = (await node.figures()).volumes.map(({ number }) => number);
  for (let i = 0; i < 5; i++) await node.delete('b', `n${i}`);
  await node.compact();
  await node.settled();
  const after = (await node.figures()).volumes.map(({ number }) => number);
  // Numbers of volumes that are gone do not come again.
  await put(node, 'b', 'new', bytesOf(900_000));
  const latest = (await node.figures()).volumes.map(({ number }) => number);
  const gone = before.filter((number) => !after.includes(number));
  expect(gone.length).toBeGreaterThan(0);
  expect(latest.some((number) => gone.includes(number))).toBe(false);
  expectSame(await get(node, 'b', 'n5'), bodies[5]!);
});

test.each<FaultRule>([
  { call: 'write', error: 'ENOSPC', path: /\.vol$/, mode: 'sticky' },
  { call: 'dataSync', path: /\.vol$/, mode: 'sticky' },
  { call: 'syncDirectory', path: /volumes$/, mode: 'sticky' },
])('a volume that cannot be begun leaves no descriptor and no file: $call', async (rule) => {
  const files = new CrashFs();
  const node = await StorageNode.open('/node', SMALL, { ...MACHINE, files });
  onTestFinished(() => node.close());
  files.faults.add(rule);
  for (let i = 0; i < 20; i++) await expect(node.createBucket('b')).rejects.toThrow(/./);
  files.faults.clear();
  const count = (kind: CallKind): number =>
    files.trace.filter((call) => {
      return call.kind === kind && call.path.endsWith('.vol') && call.outcome === 'ok';
    }).length;
  // A volume for the record of the bucket, and one for the mark that undoes it.
  expect([count('open'), count('close')]).toEqual([40, 40]);
  await node.compact();
  await node.settled();
  await node.createBucket('b');
  const { volumes } = await node.figures();
  expect(Math.min(...volumes.map(({ number }) => number))).toBe(41);
  expect(await files.readDirectory('/node/volumes')).toHaveLength(volumes.length);
});
