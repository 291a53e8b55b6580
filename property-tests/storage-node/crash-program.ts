import { expect } from 'vitest';
import type { BucketPolicy } from '../../examples/storage-node/src/ledger/bucket-record.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { faultsOf, NodeWorld, openOn, type Expectation, type WorldOptions } from './node-world.ts';

const STEPS = 30;

export interface Moment {
  readonly fs: CrashFs;
  readonly expected: Expectation;
}

/** A disk on which no volume's copies fit beside it: compaction goes in steps. */
class ShortDisk extends CrashFs {
  override async freeBytes(): Promise<number> {
    return 3 * 2 ** 20;
  }
}

export interface CrashProgramOptions extends WorldOptions {
  readonly seed: number;
  /** A crash state is kept at each so many syncs. */
  readonly every: number;
  readonly policy?: BucketPolicy;
}

/** Runs a program of calls and compaction. Returns crash states at its syncs. */
export async function crashProgram(options: CrashProgramOptions): Promise<Moment[]> {
  const { seed, every } = options;
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
  const node = await openOn(fs, {}, options.node);
  await node.createBucket('b', options.policy);
  const world = new NodeWorld(node, seed, options.bodyOf);
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
