import { expect, test } from 'vitest';
import { CrashFs, openOn } from '../../src/testing/index.ts';

/** A store with one visible batch whose sync failed. Its process is then killed. */
async function killedWithUnsyncedBatch(): Promise<CrashFs> {
  const fs = new CrashFs();
  const store = await openOn(fs, '/s');
  fs.faults.add({ call: 'writeSync', path: /log_/ });
  const insert = store.insertBatch([{ type: 'put', key: 1, value: 10 }]);
  await expect(insert).rejects.toMatchObject({ outcome: 'unknown' });
  return fs.kill();
}

test('a first group that is only in the page cache is made durable, with the file header, before it is shown', async () => {
  const fs = await killedWithUnsyncedBatch();
  const store = await openOn(fs, '/s');
  expect(store.get(1)?.value).toBe(10n);
  for (const state of fs.crashStates()) {
    const reopened = await openOn(fs.materialise(state), '/s');
    expect(reopened.get(1)?.value, state.describe()).toBe(10n);
  }
});

test('bytes of a failed write that readers lost do not reappear after an older log', async () => {
  const fs = new CrashFs();
  const first = await openOn(fs, '/s');
  await first.insertBatch([{ type: 'put', key: 1, value: 10 }]);
  fs.faults.add({ call: 'writeSync', path: /log_/, revert: true });
  const failed = first.insertBatch([{ type: 'put', key: 1, value: 11, data: new Uint8Array(900) }]);
  await expect(failed).rejects.toMatchObject({ outcome: 'unknown' });
  await first.close();

  const second = await openOn(fs, '/s');
  expect(second.get(1)?.value).toBe(10n);
  await second.insertBatch([{ type: 'put', key: 2, value: 20 }]);
  for (const state of fs.crashStates()) {
    const reopened = await openOn(fs.materialise(state), '/s');
    const found = [reopened.get(1)?.value, reopened.get(2)?.value];
    expect(found, state.describe()).toEqual([10n, 20n]);
  }
});
