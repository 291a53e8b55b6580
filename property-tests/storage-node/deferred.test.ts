import { expect, test } from 'vitest';
import { CrashFs, type FaultRule } from '../../src/testing/index.ts';
import { deferredFaults, DeferredWorld, servedFaults, type History } from './deferred-world.ts';
import { faultsOf, NodeWorld, openOn, type Expectation } from './node-world.ts';

const IS_FULL = process.env['LODESTORE_TEST_FULL'] !== undefined;
const SEEDS = IS_FULL ? 20 : 2;
const STEPS = 60;
/** Of so many syncs, one is tried with every kind of crash. */
const EVERY = IS_FULL ? 2 : 18;

interface Moment {
  readonly fs: CrashFs;
  readonly deferred: History;
  readonly synced: Expectation;
}

/** Calls on a deferred and a synced bucket side by side. Returns crash states at its syncs. */
async function program(seed: number): Promise<Moment[]> {
  const moments: Moment[] = [];
  const worlds: { deferred?: DeferredWorld; synced?: NodeWorld } = {};
  let points = 0;
  const add = (fs: CrashFs): void => {
    const { deferred, synced } = worlds;
    if (deferred === undefined || synced === undefined) return;
    moments.push({ fs, deferred: deferred.history(), synced: synced.expectation() });
  };
  const fs = new CrashFs({
    onCrashPoint: (point) => {
      if (worlds.deferred === undefined || points++ % EVERY !== 0) return;
      add(point.fs.minimalCrash());
      add(point.fs.randomCrash(seed * 1000 + points));
      add(point.fs.kill());
    },
  });
  const node = await openOn(fs);
  await node.createBucket('b');
  const compression = seed % 2 === 0 ? 'zstd' : 'none';
  await node.createBucket('d', { mode: 'keep', acknowledge: 'deferred', compression });
  const deferred = new DeferredWorld(node, seed);
  const synced = new NodeWorld(node, seed);
  Object.assign(worlds, { deferred, synced });
  for (let i = 0; i < STEPS; i++) {
    await Promise.all([deferred.step(), i % 3 === 0 ? synced.step() : undefined]);
    if (i % 6 === 5) expect(await servedFaults(node, deferred.history())).toEqual([]);
    if (i % 20 === 19) await Promise.all([node.compact(), deferred.step()]);
  }
  add(fs.minimalCrash());
  add(fs.kill());
  const history = deferred.history();
  await node.settled();
  expect([deferred.lastError, synced.lastError]).toEqual([undefined, undefined]);
  expect(await deferredFaults(node, history, history.changes.length)).toEqual([]);
  expect((await node.figures()).recentErrors).toEqual([]);
  expect((await node.figures()).writeBuffer).toMatchObject({ puts: 0, bytes: 0, waiting: 0 });
  await deferred.step();
  const last = deferred.history();
  await node.close();
  const closed = await openOn(fs.minimalCrash());
  expect(await deferredFaults(closed, last, last.changes.length)).toEqual([]);
  await closed.close();
  return moments;
}

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`a crash at any sync leaves a prefix of a deferred bucket, program ${seed}`, async () => {
    const moments = await program(seed);
    expect(moments.length).toBeGreaterThan(20);
    let lost = 0;
    for (const [i, { fs, deferred, synced }] of moments.entries()) {
      const node = await openOn(fs);
      expect(await deferredFaults(node, deferred), `moment ${i}`).toEqual([]);
      expect(await faultsOf(node, synced), `moment ${i}`).toEqual([]);
      const all = deferred.changes.length;
      if ((await deferredFaults(node, deferred, all)).length > 0) lost++;
      await node.close();
    }
    // Some of the crashes lose something: it was the buffer that had it.
    expect(lost).toBeGreaterThan(0);
  }, 300_000);
}

const RULES: readonly Omit<FaultRule, 'nth'>[] = [
  { call: 'write', error: 'ENOSPC', mode: 'short', path: /\.vol$/ },
  { call: 'write', error: 'EIO', path: /\.vol$/ },
  { call: 'dataSync', error: 'EIO', path: /\.vol$/ },
  { call: 'open', error: 'EMFILE', path: /\.vol$/ },
  { call: 'syncDirectory', error: 'EIO', path: /volumes$/ },
  { call: 'write', error: 'ENOSPC', mode: 'short', path: /metadata/ },
  { call: 'dataSync', error: 'EIO', path: /metadata/ },
];

const NTHS = IS_FULL ? [1, 2, 3, 5, 8, 13, 21] : [1, 5];

for (const rule of RULES) {
  test(`a deferred bucket: ${rule.call} fails with ${rule.error ?? ''} in ${String(rule.path)}`, async () => {
    for (const nth of NTHS) {
      for (const times of [1, 4]) {
        const fs = new CrashFs();
        const node = await openOn(fs);
        await node.createBucket('d', { mode: 'keep', acknowledge: 'deferred' });
        const world = new DeferredWorld(node, nth + 100 * times);
        for (let i = 0; i < times; i++) fs.faults.add({ ...rule, nth: nth + i });
        for (let i = 0; i < 40; i++) {
          await world.step();
          // Whatever fails, everything acknowledged is served.
          if (i % 4 === 3 && rule.call !== 'open')
            expect(await servedFaults(node, world.history()), `${nth}`).toEqual([]);
        }
        fs.faults.clear();
        const history = world.history();
        for (const machine of [fs.minimalCrash(), fs.kill()]) {
          const again = await openOn(machine);
          expect(await deferredFaults(again, history), `${nth}`).toEqual([]);
          await again.close();
        }
        // Without the failure, everything becomes durable, unless the metadata store has failed.
        if (node.failure === undefined) {
          await node.flush();
          const again = await openOn(fs.minimalCrash());
          const all = history.changes.length;
          expect(await deferredFaults(again, history, all), `${nth}`).toEqual([]);
          await again.close();
        }
        await node.close().catch(() => undefined);
      }
    }
  });
}
