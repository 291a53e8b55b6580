import { expect, test } from 'vitest';
import { CrashFs } from '../../src/testing/index.ts';
import { faultsOf, NodeWorld, openOn, type Expectation } from './node-world.ts';

const SEEDS = process.env['LODESTORE_TEST_FULL'] === undefined ? 2 : 40;
const STEPS = 30;

interface Moment {
  readonly fs: CrashFs;
  readonly expected: Expectation;
}

/** A disk on which no volume's copies fit beside it: compaction goes in steps. */
class ShortDisk extends CrashFs {
  override async freeBytes(): Promise<number> {
    return 3 * 2 ** 20;
  }
}

/** Runs a program of calls and compaction. Returns crash states at its syncs. */
async function program(seed: number, every: number): Promise<Moment[]> {
  const moments: Moment[] = [];
  const watched: { world?: NodeWorld } = {};
  let points = 0;
  const Disk = seed % 2 === 0 ? ShortDisk : CrashFs;
  const fs = new Disk({
    onCrashPoint: (point) => {
      const { world } = watched;
      if (world === undefined || points++ % every !== 0) return;
      const expected = world.expectation();
      moments.push({ fs: point.fs.minimalCrash(), expected });
      moments.push({ fs: point.fs.randomCrash(seed * 1000 + points), expected });
    },
  });
  const node = await openOn(fs);
  await node.createBucket('b');
  const world = new NodeWorld(node, seed);
  watched.world = world;
  for (let i = 0; i < STEPS; i++) {
    await Promise.all([world.step(), world.step(), world.step()]);
    if (i % 10 === 9) await Promise.all([node.compact(), world.step()]);
  }
  await node.settled();
  expect(world.lastError).toBeUndefined();
  expect(await faultsOf(node, world.expectation())).toEqual([]);
  expect((await node.figures()).recentErrors).toEqual([]);
  moments.push({ fs: fs.kill(), expected: world.expectation() });
  await node.close();
  return moments;
}

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`a crash at any sync loses nothing acknowledged, program ${seed}`, async () => {
    const moments = await program(seed, 97);
    expect(moments.length).toBeGreaterThan(2);
    for (const [i, { fs, expected }] of moments.entries()) {
      const node = await openOn(fs);
      expect(await faultsOf(node, expected), `moment ${i}`).toEqual([]);
      if (i % 3 !== 0) {
        await node.close();
        continue;
      }
      // An object stored after the crash survives the next crash.
      const body = Buffer.from(`after ${i}`);
      await node.put('b', 'a/later', [body], {
        describe: () => ({ etag: 'a'.repeat(32), meta: { headers: {} } }),
      });
      const again = await openOn(fs.minimalCrash());
      const all = new Map([...expected, ['a/later', [body]] as const]);
      expect(await faultsOf(again, all), `moment ${i}, crashed again`).toEqual([]);
      await node.close();
      await again.close();
    }
  });
}
