import { expect, test } from 'vitest';
import { CrashFs, type FaultRule } from '../../src/testing/index.ts';
import { evictionFaultsOf, EvictionWorld, type Possible } from './eviction-world.ts';
import { openOn } from './node-world.ts';

const IS_FULL = process.env['LODESTORE_TEST_FULL'] !== undefined;
const SEEDS = IS_FULL ? 30 : 1;
const STEPS = 24;
/** A crash state is kept at each so many syncs, within evictions and outside. */
const [WITHIN, OUTSIDE] = IS_FULL ? [1, 29] : [6, 97];

interface Moment {
  readonly fs: CrashFs;
  readonly possible: Possible;
}

async function runProgram(world: EvictionWorld): Promise<void> {
  for (let i = 0; i < STEPS; i++) {
    await Promise.all([world.step(), world.step(), world.step(), world.step()]);
    if (i % 6 === 5) await Promise.all([world.evict(), world.step(), world.step()]);
  }
}

async function crashProgram(seed: number): Promise<Moment[]> {
  const moments: Moment[] = [];
  const watched: { world?: EvictionWorld } = {};
  let points = 0;
  const fs = new CrashFs({
    onCrashPoint: (point) => {
      const { world } = watched;
      if (world === undefined) return;
      const every = world.evictionsUnderWay > 0 ? WITHIN : OUTSIDE;
      if (points++ % every !== 0) return;
      const possible = world.possible();
      const isMinimal = moments.length % 2 === 0;
      const after = isMinimal ? point.fs.minimalCrash() : point.fs.randomCrash(seed + points);
      moments.push({ fs: after, possible });
    },
  });
  const node = await openOn(fs);
  await EvictionWorld.createBuckets(node);
  const world = new EvictionWorld(node, seed);
  watched.world = world;
  await runProgram(world);
  await node.settled();
  expect(world.dropped).toBeGreaterThan(2);
  expect(world.refused).toBe(0);
  moments.push({ fs: fs.kill(), possible: world.possible() });
  expect(await evictionFaultsOf(node, world.possible())).toEqual([]);
  await node.close();
  return moments;
}

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`a crash beside evictions leaves whole objects, and none that was replaced, program ${seed}`, async () => {
    const moments = await crashProgram(seed);
    expect(moments.length).toBeGreaterThan(5);
    for (const [i, { fs, possible }] of moments.entries()) {
      const node = await openOn(fs);
      expect(await evictionFaultsOf(node, possible), `moment ${i}`).toEqual([]);
      await node.close();
    }
  });
}

const RULES: readonly Omit<FaultRule, 'nth'>[] = [
  { call: 'write', error: 'EIO', path: /\.vol$/ },
  { call: 'dataSync', error: 'EIO', path: /\.vol$/ },
  { call: 'read', error: 'EIO', path: /\.vol$/ },
  { call: 'unlink', error: 'EIO', path: /\.vol$/ },
  { call: 'syncDirectory', error: 'EIO', path: /volumes$/ },
  { call: 'dataSync', error: 'EIO', path: /metadata/ },
];
const NTHS = IS_FULL ? [1, 2, 3, 5, 8, 13, 21] : [3];

for (const rule of RULES) {
  test(`beside evictions, ${rule.call} fails with ${rule.error ?? ''} in ${String(rule.path)}`, async () => {
    for (const nth of NTHS) {
      const fs = new CrashFs();
      const node = await openOn(fs);
      await EvictionWorld.createBuckets(node);
      const world = new EvictionWorld(node, nth);
      fs.faults.add({ ...rule, nth });
      await runProgram(world);
      fs.faults.clear();
      const possible = world.possible();
      for (const machine of [fs.minimalCrash(), fs.kill()]) {
        const again = await openOn(machine);
        expect(await evictionFaultsOf(again, possible), `${nth}`).toEqual([]);
        await again.close();
      }
      await node.close().catch(() => undefined);
    }
  });
}
