import { expect, test } from 'vitest';
import { CrashFs, openOn } from '../../src/testing/index.ts';

/** A store with one batch whose write has been seen, and whose sync has failed. Its process is then killed. */
async function killedWithUnsyncedBatch(): Promise<CrashFs> {
  const fs = new CrashFs();
  const store = await openOn(fs, '/s');
  fs.faults.add({ call: 'writeSync', path: /log_/ });
  const insert = store.insertBatch([{ type: 'put', key: 1, value: 10 }]);
  await expect(insert).rejects.toMatchObject({ outcome: 'unknown' });
  return fs.kill();
}

test('a first group that only the page cache holds is made durable, file header and all, before it is shown', async () => {
  const fs = await killedWithUnsyncedBatch();
  const store = await openOn(fs, '/s');
  expect(store.get(1)?.value).toBe(10n);
  for (const state of fs.crashStates()) {
    const reopened = await openOn(fs.materialise(state), '/s');
    expect(reopened.get(1)?.value, state.describe()).toBe(10n);
  }
});
