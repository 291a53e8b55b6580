import { expect, test } from 'vitest';
import { CrashFs, openOn } from '../../src/testing/index.ts';

/**
 * Opens the disk of a machine whose process was killed at the `nth` sync of opening `directory`.
 */
async function killedWhileOpening(fs: CrashFs, directory: string, nth: number): Promise<CrashFs> {
  let killed: CrashFs | undefined;
  const machine = fs.kill({
    onCrashPoint: (point) => {
      if (point.number === nth) killed = point.fs.kill();
    },
  });
  const store = await openOn(machine, directory);
  const left = killed ?? machine.kill();
  // The timers of an open store keep it in memory.
  await store.close();
  return left;
}

test.each(['/s', '/a/b/s'])(
  'acknowledged batches in %s stay, however often the creation was interrupted',
  async (path) => {
    for (let first = 1; first <= 9; first++) {
      for (let second = 1; second <= 9; second++) {
        const once = await killedWhileOpening(new CrashFs(), path, first);
        const twice = await killedWhileOpening(once, path, second);
        const store = await openOn(twice, path);
        await store.insertBatch([{ type: 'put', key: 1, value: 10 }]);
        const reopened = await openOn(twice.minimalCrash(), path);
        expect(reopened.get(1)?.value, `killed at sync ${first}, then at ${second}`).toBe(10n);
        await reopened.close();
        await store.close();
      }
    }
  },
);

test('a store whose directory could not be synced does not open until it can be', async () => {
  const fs = new CrashFs();
  await fs.makeDirectory('/s');
  fs.faults.add({ call: 'syncDirectory', path: '/' });
  await expect(openOn(fs, '/s')).rejects.toMatchObject({ code: 'LODESTORE_IO' });
  const store = await openOn(fs, '/s');
  await store.insertBatch([{ type: 'put', key: 1, value: 10 }]);
  const reopened = await openOn(fs.minimalCrash(), '/s');
  expect(reopened.get(1)?.value).toBe(10n);
});
