import { expect, test } from 'vitest';
import { acquireDirectoryLock } from '../../src/directory/lock-acquisition.ts';
import { CrashFs } from '../../src/testing/index.ts';

const IDENTITY = {
  pid: 1,
  processStartTicks: 1,
  bootId: 'boot',
  machineId: 'machine',
  hostName: 'host',
};

const take = (fs: CrashFs) => acquireDirectoryLock(fs, '/d', IDENTITY, { onLost: () => {} });

test('a lease never outlives its owner record, whatever was killed or failed before', async () => {
  const killed: CrashFs[] = [];
  const fs = new CrashFs({ onCrashPoint: (point) => killed.push(point.fs.kill()) });
  await fs.makeDirectory('/d');
  await fs.syncDirectory('/');
  await take(fs);
  expect(killed.length).toBeGreaterThan(2);
  for (const origin of killed.slice(1)) {
    const crashed: CrashFs[] = [];
    const again = origin.kill({
      onCrashPoint: (point) => {
        for (const state of point.fs.crashStates()) {
          crashed.push(point.fs.kill().materialise(state));
        }
      },
    });
    await take(again);
    for (const state of again.crashStates()) crashed.push(again.materialise(state));
    for (const machine of crashed) await expect(take(machine)).resolves.toBeDefined();
  }
});
