import { expect, test } from 'vitest';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import type { StorageNode } from '../../examples/storage-node/src/storage-node.ts';
import { CrashFs, type FaultRule } from '../../src/testing/index.ts';
import { environmentOn, etagOf, openOn, OPTIONS, read } from './node-world.ts';

const IS_FULL = process.env['LODESTORE_TEST_FULL'] !== undefined;
/** A crash state is kept at each so many syncs. */
const EVERY = IS_FULL ? 1 : 5;

type Bodies = ReadonlyMap<string, Buffer>;

/** Stores objects in a node, replaces and deletes some, and closes it. */
async function store(fs: CrashFs): Promise<Bodies> {
  const node = await openOn(fs);
  await node.createBucket('b');
  const bodies = new Map<string, Buffer>();
  for (let i = 0; i < 40; i++) {
    const name = `n${i % 30}`;
    const body = Buffer.alloc(200 + 700 * (i % 9), `${i} `);
    bodies.set(name, body);
    await node.put('b', name, [body], {
      describe: () => ({ etag: etagOf(body), meta: { headers: {} } }),
    });
  }
  for (let i = 0; i < 30; i += 4) {
    await node.delete('b', `n${i}`);
    bodies.delete(`n${i}`);
  }
  await node.settled();
  await node.close();
  return bodies;
}

function rebuild(fs: CrashFs): Promise<unknown> {
  return rebuildIndex('/node', OPTIONS, {}, environmentOn(fs));
}

async function expectWhole(fs: CrashFs, bodies: Bodies, when: string): Promise<void> {
  const node = await openOn(fs);
  const names = (await node.list('b')).objects.map(({ name }) => name);
  expect(names, when).toEqual([...bodies.keys()].sort());
  for (const [name, body] of bodies) {
    expect((await read(node, 'b', name))?.equals(body), `${when}, ${name}`).toBe(true);
  }
  expect(await node.recount(), when).toMatchObject({ isExact: true });
  await node.close();
}

/** Opens the node; if it says that its metadata is lost, after a rebuild. */
async function expectWholeAfterRebuild(fs: CrashFs, bodies: Bodies, when: string): Promise<void> {
  const outcome = await openOn(fs).catch((error: unknown) => error as Error);
  if (outcome instanceof Error) {
    expect(outcome, when).toMatchObject({ code: 'LOST_METADATA' });
    await rebuild(fs);
  } else {
    await (outcome satisfies StorageNode).close();
  }
  await expectWhole(fs, bodies, when);
}

test('a rebuild that a crash has interrupted at any sync is done again', async () => {
  const moments: CrashFs[] = [];
  const watch = { isOn: false };
  let points = 0;
  const fs = new CrashFs({
    onCrashPoint: (point) => {
      if (!watch.isOn || points++ % EVERY !== 0) return;
      moments.push(point.fs.minimalCrash(), point.fs.randomCrash(points));
    },
  });
  const bodies = await store(fs);
  watch.isOn = true;
  await rebuild(fs);
  watch.isOn = false;
  expect(moments.length).toBeGreaterThan(5);
  for (const [i, moment] of moments.entries()) {
    await expectWholeAfterRebuild(moment, bodies, `moment ${i}`);
  }
  await expectWhole(fs, bodies, 'not interrupted');
});

const RULES: readonly Omit<FaultRule, 'nth'>[] = [
  { call: 'write', error: 'ENOSPC', mode: 'short', path: /metadata\.rebuild/ },
  { call: 'dataSync', error: 'EIO', path: /metadata\.rebuild/ },
  { call: 'write', error: 'EIO', path: /\.vol$/ },
  { call: 'open', error: 'EMFILE', path: /\.vol$/ },
  { call: 'rename', error: 'EIO', path: /metadata/ },
  { call: 'syncDirectory', error: 'EIO', path: /node$/ },
];

test.each(RULES)('a rebuild in which $call fails with $error is done again', async (rule) => {
  for (const nth of IS_FULL ? [1, 2, 3, 5, 8] : [1, 2]) {
    const fs = new CrashFs();
    const bodies = await store(fs);
    expect(bodies.size).toBe(22);
    fs.faults.add({ ...rule, nth });
    await rebuild(fs).catch(() => undefined);
    fs.faults.clear();
    await expectWholeAfterRebuild(fs, bodies, `${nth}`);
  }
});
