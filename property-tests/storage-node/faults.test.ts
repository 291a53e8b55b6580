import { expect, test } from 'vitest';
import { CrashFs, type FaultRule } from '../../src/testing/index.ts';
import { faultsOf, NodeWorld, openOn } from './node-world.ts';

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
