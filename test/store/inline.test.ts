import { expect, test } from 'vitest';
import { MetadataStore, StoreBusyError, WriteBatch } from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const INLINE = { commits: 'inline' } as const;

test('a batch is durable and visible when the call returns', async () => {
  const fs = new CrashFs();
  const store = await openOn(fs, '/s', INLINE);
  store.insertBatchSync(new WriteBatch().put(1, 10));
  expect(store.get(1)?.value).toBe(10n);
  const after = await openOn(fs.minimalCrash(), '/s');
  expect(after.get(1)?.value).toBe(10n);
  await after.close();
  await store.insertBatch([{ type: 'put', key: 2, value: 20 }]);
  store.insertBatchSync([{ type: 'put', key: 3, value: 30 }]);
  expect(store.size).toBe(3);
  await store.merge();
  store.insertBatchSync([{ type: 'put', key: 4, value: 30 }]);
  await store.close();
  const last = await openOn(fs, '/s');
  expect(last.size).toBe(4);
  await last.close();
});

test('on the real file system', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, { ...INLINE, rotateBytes: 64 * 1024 });
  for (let i = 1; i <= 500; i++) {
    store.insertBatchSync(new WriteBatch().put(i, i, Buffer.alloc(1000, String(i * 7919))));
  }
  expect(() => {
    void store.insertBatch(new WriteBatch().put(1, 1));
    store.insertBatchSync(new WriteBatch().put(1, 1));
  }).toThrow(StoreBusyError);
  await store.close();
  const last = await MetadataStore.open(directory);
  expect(last.size).toBe(500);
  await last.close();
});
