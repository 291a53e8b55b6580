import { expect, test } from 'vitest';
import { StoreError, type MetadataStore } from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';

async function storeWithBatch(): Promise<{ fs: CrashFs; store: MetadataStore }> {
  const fs = new CrashFs();
  const store = await openOn(fs, '/s');
  await store.insertBatch([{ type: 'put', key: 1, value: 10 }]);
  return { fs, store };
}

test('a merge that cannot read the free space rejects with an error of the store', async () => {
  const { fs, store } = await storeWithBatch();
  fs.faults.add({ call: 'freeBytes' });
  const error: unknown = await store.merge().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(StoreError);
  expect(error).toMatchObject({ code: 'LODESTORE_MERGE_FAILED', cause: { code: 'EIO' } });
  await store.merge();
  await store.close();
});

test('a sealed log that cannot be closed does not prevent a merge', async () => {
  const { fs, store } = await storeWithBatch();
  fs.faults.add({ call: 'close', path: /log_0000000000000001/ });
  await store.merge();
  await store.insertBatch([{ type: 'put', key: 2, value: 20 }]);
  await store.close();
  const reopened = await openOn(fs, '/s');
  expect([...reopened.keys()]).toEqual([1n, 2n]);
});
