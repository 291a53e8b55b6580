import { expect, test } from 'vitest';
import { FilesLostError, type MetadataStore, type StoreError } from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';

const put = (key: number): [{ type: 'put'; key: number; value: number }] => [
  { type: 'put', key, value: 1 },
];

async function rejection(promise: Promise<unknown>): Promise<StoreError> {
  return promise.then(
    () => {
      throw new Error('the promise was expected to reject');
    },
    (error: unknown) => error as StoreError,
  );
}

/** A store with a snapshot, a closed log and a live one. */
async function openFilled(): Promise<{ fs: CrashFs; store: MetadataStore; live: string }> {
  const fs = new CrashFs();
  let store = await openOn(fs, '/s');
  await store.insertBatch(put(1));
  await store.merge();
  await store.insertBatch(put(2));
  await store.close();
  store = await openOn(fs, '/s');
  await store.insertBatch(put(3));
  await store.insertBatch(put(4));
  const number = store.stats().logs.liveNumber!;
  return { fs, store, live: `/s/log_${number.toString(16).padStart(16, '0')}` };
}

async function filesOf(fs: CrashFs, prefix: string): Promise<string[]> {
  const entries = await fs.readDirectory('/s');
  const names = entries.map(({ name }) => name).filter((name) => name.startsWith(prefix));
  return names.toSorted().map((name) => `/s/${name}`);
}

/** No further acknowledgement, typed and at once; what is in memory can be read. */
async function expectLost(store: MetadataStore, path: string): Promise<void> {
  const { state, poison } = store.stats();
  expect(state).toBe('poisoned');
  expect(poison).toBeInstanceOf(FilesLostError);
  expect(poison).toMatchObject({ code: 'LODESTORE_FILES_LOST', path });
  expect(poison!.message).toContain('before you close this store');
  const refused = await rejection(store.insertBatch(put(9)));
  expect(refused).toBeInstanceOf(FilesLostError);
  expect(refused.outcome).toBe('not-applied');
  expect([...store.keys()].slice(0, 4)).toEqual([1n, 2n, 3n, 4n]);
  expect((await store.contentHash()).records).toBeGreaterThanOrEqual(4);
  await store.close();
}

test('the live log is removed: the next batch is not acknowledged', async () => {
  const { fs, store, live } = await openFilled();
  await fs.unlink(live);
  expect((await rejection(store.insertBatch(put(5)))).outcome).toBe('unknown');
  await expectLost(store, live);
});

test('the live log is removed: deferred batches are not called durable', async () => {
  const { fs, store, live } = await openFilled();
  await store.insertBatch(put(5), { durability: 'deferred' });
  await fs.unlink(live);
  expect(await rejection(store.sync())).toBeInstanceOf(FilesLostError);
  expect(await rejection(store.close())).toBeInstanceOf(FilesLostError);
});

test('the live log is cut: the next batch is not acknowledged', async () => {
  const { fs, store, live } = await openFilled();
  const file = await fs.open(live, 'r+');
  await file.truncate(100);
  await file.close();
  expect((await rejection(store.insertBatch(put(5)))).outcome).toBe('unknown');
  await expectLost(store, live);
});

test.each(['snapshot', 'log'])('a merge finds that a %s is gone', async (prefix) => {
  const { fs, store } = await openFilled();
  const [path] = await filesOf(fs, prefix);
  await fs.unlink(path!);
  expect(await rejection(store.merge())).toBeInstanceOf(FilesLostError);
  await expectLost(store, path!);
});

test.each(['snapshot', 'log'])('a backup finds that a %s is gone', async (prefix) => {
  const { fs, store } = await openFilled();
  const [path] = await filesOf(fs, prefix);
  await fs.unlink(path!);
  expect(await rejection(store.backup('/b'))).toBeInstanceOf(FilesLostError);
  await expectLost(store, path!);
});

test('a change feed finds that a log is gone', async () => {
  const { fs, store } = await openFilled();
  const [path] = await filesOf(fs, 'log');
  await fs.unlink(path!);
  const feed = store.changes({ after: 1n });
  expect(await rejection(feed.next())).toBeInstanceOf(FilesLostError);
  await expectLost(store, path!);
});
