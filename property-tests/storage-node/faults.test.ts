import { expect, test } from 'vitest';
import { CrashFs, type FaultRule } from '../../src/testing/index.ts';
import { rebuildIndex } from '../../examples/storage-node/src/rebuild/rebuild-index.ts';
import { HEADER_BYTES } from '../../examples/storage-node/src/volumes/volume-header.ts';
import { environmentOn, faultsOf, NodeWorld, openOn, OPTIONS } from './node-world.ts';

const IS_FULL = process.env['LODESTORE_TEST_FULL'] !== undefined;

const RULES: readonly Omit<FaultRule, 'nth'>[] = [
  { call: 'write', error: 'ENOSPC', mode: 'short', path: /\.vol$/ },
  { call: 'write', error: 'EIO', path: /\.vol$/ },
  { call: 'dataSync', error: 'EIO', path: /\.vol$/ },
  { call: 'truncate', error: 'EIO', path: /\.vol$/ },
  { call: 'unlink', error: 'EIO', path: /\.vol$/ },
  { call: 'open', error: 'EMFILE', path: /\.vol$/ },
  { call: 'syncDirectory', error: 'EIO', path: /volumes$/ },
  { call: 'write', error: 'ENOSPC', mode: 'short', path: /metadata/ },
  { call: 'dataSync', error: 'EIO', path: /metadata/ },
];

/** The numbers of the call that fails. */
const NTHS = IS_FULL ? [1, 2, 3, 5, 8, 13, 21, 34] : [4];

for (const rule of RULES) {
  test(`${rule.call} fails with ${rule.error ?? ''} in ${String(rule.path)}`, async () => {
    for (const nth of NTHS) {
      const fs = new CrashFs();
      const node = await openOn(fs);
      await node.createBucket('b');
      const world = new NodeWorld(node, nth);
      fs.faults.add({ ...rule, nth });
      for (let i = 0; i < 30; i++) {
        await Promise.all([world.step(), world.step()]);
        if (i % 8 === 7) await node.compact().catch(() => undefined);
      }
      fs.faults.clear();
      const expected = world.expectation();
      // Reads continue after any failure; after a restart, everything acknowledged is there.
      for (const machine of [fs.minimalCrash(), fs.kill()]) {
        const again = await openOn(machine);
        expect(await faultsOf(again, expected), `${nth}`).toEqual([]);
        await again.compact();
        await again.settled();
        expect(await faultsOf(again, expected), `${nth}, compacted`).toEqual([]);
        await again.close();
      }
      await node.close().catch(() => undefined);
    }
  });
}

/** So many calls of the disk fail, one after another. */
const OUTAGES = IS_FULL ? [1, 2, 5, 20, 60] : [3, 30];
const SEEDS = IS_FULL ? [1, 2, 3, 4, 5, 6] : [1, 2];

/** A rebuild refuses a volume without a header: it may have been cut. Here it was begun in vain. */
async function removeHeaderless(fs: CrashFs): Promise<void> {
  for (const { name } of await fs.readDirectory('/node/volumes')) {
    const path = `/node/volumes/${name}`;
    if ((await fs.stat(path)).sizeBytes < HEADER_BYTES) await fs.unlink(path);
  }
}

test.each(RULES.filter(({ path }) => String(path).includes('vol')))(
  'after an outage in which $call fails with $error, a rebuild finds what was acknowledged',
  async (rule) => {
    for (const seed of SEEDS) {
      for (const calls of OUTAGES) {
        const fs = new CrashFs();
        const node = await openOn(fs);
        await node.createBucket('b');
        const world = new NodeWorld(node, seed);
        for (let i = 0; i < 60; i++) await Promise.all([world.step(), world.step()]);
        for (let nth = 1; nth <= calls; nth++) fs.faults.add({ ...rule, nth });
        for (let i = 0; i < 20; i++) await Promise.all([world.step(), world.step()]);
        fs.faults.clear();
        for (let i = 0; i < 10; i++) await world.step();
        await node.close();
        await removeHeaderless(fs);
        await rebuildIndex('/node', OPTIONS, {}, environmentOn(fs));
        const again = await openOn(fs);
        const faults = await faultsOf(again, world.expectation());
        expect(faults, `seed ${seed}, ${calls} calls`).toEqual([]);
        await again.close();
      }
    }
  },
);
