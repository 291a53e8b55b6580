import { expect, test } from 'vitest';
import { crashProgram } from './crash-program.ts';
import { faultsOf, openOn } from './node-world.ts';

const SEEDS = process.env['LODESTORE_TEST_FULL'] === undefined ? 2 : 40;

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`a crash at any sync loses nothing acknowledged, program ${seed}`, async () => {
    const moments = await crashProgram({ seed, every: 97 });
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
