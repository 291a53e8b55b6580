import { expect, test } from 'vitest';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import { CrashFs, SeededScheduler } from '../../src/testing/index.ts';
import { environmentOn, OPTIONS, openOn } from './node-world.ts';
import { OverlapWorld } from './overlap-world.ts';

const SEEDS = process.env['LODESTORE_TEST_FULL'] === undefined ? 3 : 60;
const ROUNDS = 20;

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`calls of one name that overlap have an order that explains them, program ${seed}`, async () => {
    const fs = new CrashFs({ scheduler: new SeededScheduler(seed), trace: false });
    const node = await openOn(fs);
    await node.createBucket('keep');
    await node.createBucket('cache', { mode: 'cache' });
    const keep = new OverlapWorld(node, 'keep', seed);
    const cache = new OverlapWorld(node, 'cache', seed + 1_000);
    for (let i = 0; i < ROUNDS; i++) {
      const isReady = await cache.prepareEviction();
      const faults = await Promise.all([
        keep.round(i % 3 === 0 ? 'compact' : 'nothing'),
        cache.round(isReady ? 'evict' : 'nothing'),
      ]);
      expect(faults, `round ${i}`).toEqual([undefined, undefined]);
      if (i % 5 !== 4) continue;
      const crashed = await openOn(fs.minimalCrash());
      for (const world of [keep, cache]) expect(await world.found(crashed)).toBe(world.state);
      await crashed.close();
    }
    await node.settled();
    expect(await node.recount()).toMatchObject({ isExact: true });
    expect((await node.figures()).recentErrors).toEqual([]);
    await node.close();
    await rebuildIndex('/node', OPTIONS, {}, environmentOn(fs));
    const again = await openOn(fs);
    for (const world of [keep, cache]) expect(await world.found(again)).toBe(world.state);
    expect(await again.recount()).toMatchObject({ isExact: true });
    await again.close();
  });
}
