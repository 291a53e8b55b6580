import { describe, expect, it } from 'vitest';
import { CrashFs, SeededScheduler } from '../../src/testing/index.ts';
import { run } from './machine.ts';

/**
 * Two activities, each with three writes and a sync. Returns the order in which their calls ended.
 */
async function interleave(seed: number): Promise<string> {
  const scheduler = new SeededScheduler(seed);
  const fs = CrashFs.withFiles({ '/a': run('O', 8), '/b': run('O', 8) }, { scheduler });
  const activity = async (path: string): Promise<void> => {
    const file = await fs.open(path, 'r+');
    for (let nth = 0; nth < 3; nth++) await file.write(run('A', 2), nth * 2);
    await file.dataSync();
  };
  await Promise.all([activity('/a'), activity('/b')]);
  return scheduler.ended.map((label) => label.slice(-1)).join('');
}

describe('the seeded scheduler', () => {
  it('interleaves two activities, in repeatable ways', async () => {
    const orders = new Set<string>();
    for (let seed = 0; seed < 20; seed++) {
      const order = await interleave(seed);
      expect(await interleave(seed)).toBe(order);
      expect(order).toHaveLength(10);
      orders.add(order);
    }
    expect(orders.size).toBeGreaterThan(10);
  });

  it('lets calls of two activities overlap', async () => {
    const scheduler = new SeededScheduler(1);
    const fs = CrashFs.withFiles({ '/a': run('O', 8), '/b': run('O', 8) }, { scheduler });
    await Promise.all([fs.stat('/a'), fs.stat('/b')]);
    const starts = fs.trace.map((call) => call.startTick);
    const ends = fs.trace.map((call) => call.endTick);
    expect(Math.max(...starts)).toBeLessThan(Math.min(...ends));
  });

  it('gives a turn to an activity that waits for the next tick', async () => {
    const scheduler = new SeededScheduler(1);
    const fs = CrashFs.withFiles({ '/a': run('O', 8), '/b': run('O', 8) }, { scheduler });
    const busy = async (): Promise<void> => {
      for (let nth = 0; nth < 20; nth++) await fs.stat('/a');
    };
    const patient = async (): Promise<void> => {
      await new Promise<void>((go) => process.nextTick(go));
      await fs.stat('/b');
    };
    await Promise.all([busy(), patient()]);
    expect(scheduler.ended.indexOf('stat /b')).toBeLessThan(15);
  });
});
