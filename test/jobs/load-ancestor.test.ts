import { expect, test } from 'vitest';
import { snapshotName } from '../../src/format/file-name.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { ancestorFrameOfRows } from '../support/ancestor-files.ts';
import { dumpOfStore } from '../support/dump.ts';

test('a delete in a snapshot of the ancestor leaves no record, in memory and after a merge', async () => {
  const snapshot = ancestorFrameOfRows([
    { key: 1n, value: 10n },
    { key: 2n, value: 20n },
    { key: 2n, value: 0n },
    { key: 3n, value: 0n, data: Uint8Array.of(3) },
  ]);
  const fs = CrashFs.withFiles({ [`/s/${snapshotName(0)}`]: snapshot });
  const store = await openOn(fs, '/s');
  expect(dumpOfStore(store)).toBe('1 10 \n');
  expect(store.size).toBe(1);
  await store.insertBatch([{ type: 'put', key: 4n, value: 40n }]);
  await store.merge();
  await store.close();
  const again = await openOn(fs, '/s');
  expect(dumpOfStore(again)).toBe('1 10 \n4 40 \n');
  await again.close();
});
