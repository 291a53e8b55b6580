import { expect, test } from 'vitest';
import { MAX_FILE_NUMBER } from '../../src/base/limits.ts';
import { openOn } from '../../src/testing/index.ts';
import { columnsOf } from '../support/columns.ts';
import { machineWith } from '../support/machine.ts';
import { directoryOf, logOf, NO_PREDECESSOR, snapshotOf } from '../support/small-directory.ts';

const RECORDS = [{ key: 1n, value: 2n, data: Uint8Array.of(3) }];

function snapshotOfEpoch(epoch: number): Promise<Uint8Array> {
  const last = { ...NO_PREDECESSOR, lastSequence: 1n };
  return snapshotOf(1, [columnsOf(RECORDS)], last, epoch);
}

test('a file with the last epoch loses nothing: what follows it is read', async () => {
  const bytes = await snapshotOfEpoch(MAX_FILE_NUMBER);
  const fs = machineWith(directoryOf({ number: 1, bytes }, []));
  for (const key of [2, 3, 4]) {
    const store = await openOn(fs, '/s');
    expect(store.size).toBe(key - 1);
    await store.insertBatch([{ type: 'put', key, value: 1 }]);
    if (key === 3) await store.merge();
    await store.close();
  }
});

test('salvage reads it, too', async () => {
  const bytes = await snapshotOfEpoch(MAX_FILE_NUMBER);
  const orphan = await logOf({ number: 3, groups: [[[{ key: 9n, value: 9n }]]] });
  const fs = machineWith(directoryOf({ number: 1, bytes }, [{ number: 3, bytes: orphan.bytes }]));
  const salvaged = await openOn(fs, '/s', { recovery: 'salvage' });
  expect(salvaged.recovery.losses.length).toBeGreaterThan(0);
  await salvaged.close();
  const store = await openOn(fs, '/s');
  expect(store.size).toBe(1);
  await store.close();
});
