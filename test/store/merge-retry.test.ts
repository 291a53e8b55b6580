import { afterEach, expect, test, vi } from 'vitest';
import { StoreFullError, WriteBatch, type MetadataStore } from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { dumpOfStore } from '../support/dump.ts';
import { randomWords } from '../support/random.ts';

vi.mock('../../src/base/timers.ts', async (original) => {
  const { fakeable } = await import('../support/fakeable-timers.ts');
  return fakeable(await original());
});

const KIB = 1024;
const MIB = 1024 * KIB;
const NO_MERGES = { mergeBytes: 2 ** 40 };

const word = randomWords(5);

afterEach(() => {
  vi.useRealTimers();
});

/** Incompressible records of 4,000 bytes each. */
function noisy(from: number, count: number): WriteBatch {
  const batch = new WriteBatch();
  for (let key = from; key < from + count; key++) {
    batch.put(key, 1, new Uint8Array(Uint32Array.from({ length: 1_000 }, word).buffer));
  }
  return batch;
}

function deletes(from: number, count: number): WriteBatch {
  const batch = new WriteBatch();
  for (let key = from; key < from + count; key++) batch.delete(key);
  return batch;
}

async function takeAllBut(fs: CrashFs, freeBytes: number): Promise<void> {
  const file = await fs.open('/ballast', 'wx');
  await file.truncate((await fs.freeBytes('/')) - freeBytes);
  await file.close();
}

async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
}

function failedMerge(store: MetadataStore): Promise<Error> {
  return store.merge().then(
    () => Promise.reject(new Error('the merge was expected to fail')),
    (error: unknown) => error as Error,
  );
}

function logsOn(fs: CrashFs): number {
  return [...fs.files().keys()].filter((path) => path.includes('/log_')).length;
}

test('merges that fail repeatedly add neither logs nor layers', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const fs = new CrashFs({ trace: false });
  const store = await openOn(fs, '/s', NO_MERGES);
  fs.faults.add({ call: 'open', error: 'EACCES', mode: 'sticky', path: /\.tmp$/ });
  for (let key = 0; key < 50; key++) {
    await store.insertBatch(new WriteBatch().put(key, 5));
    await failedMerge(store);
  }
  // The log that the first merge closed, the live log, and the prepared log.
  expect(store.stats().logs.count).toBe(2);
  expect(logsOn(fs)).toBe(3);
  const frozenBytes = store.stats().memory.frozenBytes;
  await store.insertBatch(new WriteBatch().put(50, 5));
  await failedMerge(store);
  expect(store.stats().memory.frozenBytes).toBe(frozenBytes);
  fs.faults.clear();
  // One call merges the failed part and then what was written since.
  await store.merge();
  expect(store.stats().logs).toMatchObject({ count: 1, bytes: 0 });
  expect([store.size, store.stats().merges.completed]).toEqual([51, 2]);
  await store.close();
  const again = await openOn(fs.minimalCrash(), '/s');
  expect(again.size).toBe(51);
  await again.close();
});

test('a retry merges the frozen layer, and leaves logs closed since to the next merge', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const crashes: CrashFs[] = [];
  const fs = new CrashFs({
    trace: false,
    onCrashPoint: ({ fs: machine }) => crashes.push(machine.minimalCrash(), machine.kill()),
  });
  const store = await openOn(fs, '/s', { ...NO_MERGES, rotateBytes: 64 * KIB });
  await store.insertBatch(noisy(0, 5));
  fs.faults.add({ call: 'open', error: 'EACCES', mode: 'sticky', path: /\.tmp$/ });
  await failedMerge(store);
  for (let from = 5; from < 65; from += 20) {
    await store.insertBatch(noisy(from, 20));
    await turns();
  }
  await store.insertBatch(deletes(0, 3));
  expect(store.stats().logs.count).toBeGreaterThan(2);
  fs.faults.clear();
  const dump = dumpOfStore(store);
  crashes.length = 0;
  await store.merge();
  expect(store.stats()).toMatchObject({ merges: { completed: 2 }, logs: { bytes: 0 } });
  expect(dumpOfStore(store)).toBe(dump);
  await store.close();
  expect(crashes.length).toBeGreaterThan(6);
  for (const crashed of crashes) {
    const again = await openOn(crashed, '/s');
    expect(dumpOfStore(again)).toBe(dump);
    await again.close();
  }
});

test('a merge without space includes later deletes in its retry, and then needs less', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const fs = new CrashFs({ trace: false, capacityBytes: 64 * MIB });
  const store = await openOn(fs, '/s', NO_MERGES);
  await store.insertBatch(noisy(0, 500));
  await turns();
  await takeAllBut(fs, MIB);
  const first = await failedMerge(store);
  expect(first).toBeInstanceOf(StoreFullError);
  // Nothing new to include: there is no retry.
  const again = await failedMerge(store);
  const needOf = ({ message }: Error): string => message.slice(0, message.indexOf(', but '));
  expect(needOf(again)).toBe(needOf(first));
  await store.insertBatch(deletes(0, 400));
  const dump = dumpOfStore(store);
  await store.merge();
  expect(dumpOfStore(store)).toBe(dump);
  expect(store.stats().logs.bytes).toBe(0);
  expect(store.stats().merges.snapshotBytes).toBeLessThan(MIB);
  await store.close();
  const reopened = await openOn(fs.minimalCrash(), '/s');
  expect(dumpOfStore(reopened)).toBe(dump);
  await reopened.close();
});

test('merges without space fold the layers into one and keep the logs few', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const fs = new CrashFs({ trace: false, capacityBytes: 64 * MIB });
  const store = await openOn(fs, '/s', NO_MERGES);
  await store.insertBatch(noisy(0, 300));
  await turns();
  await takeAllBut(fs, MIB);
  // A log takes 256 KiB of this disk, or 8 KiB if there is no space for more.
  for (let round = 0; round < 30; round++) {
    await store.insertBatch(deletes(round, 1));
    await failedMerge(store);
  }
  const dump = dumpOfStore(store);
  expect(store.size).toBe(270);
  expect([...store.keys()].length).toBe(270);
  expect(store.stats().logs.count).toBeLessThanOrEqual(65);
  await fs.unlink('/ballast');
  await store.merge();
  expect(dumpOfStore(store)).toBe(dump);
  await store.close();
  const again = await openOn(fs.minimalCrash(), '/s');
  expect(dumpOfStore(again)).toBe(dump);
  await again.close();
});

test('a snapshot without live records is merged away on a full disk', async () => {
  const fs = new CrashFs({ trace: false, capacityBytes: 16 * MIB });
  const store = await openOn(fs, '/s', { reserveFileBytes: MIB });
  await store.insertBatch(noisy(0, 1_000));
  await store.merge();
  await turns();
  await takeAllBut(fs, 0);
  for (let from = 0; from < 1_000; from += 100) await store.insertBatch(deletes(from, 100));
  await store.merge();
  expect([store.size, store.stats().merges.snapshotBytes < KIB]).toEqual([0, true]);
  expect(await fs.freeBytes('/')).toBeGreaterThan(3 * MIB);
  await store.insertBatch(noisy(0, 100));
  await store.close();
});

test('while merges do not keep up, logs become longer instead of more numerous', async () => {
  const fs = new CrashFs({ trace: false });
  const store = await openOn(fs, '/s', { ...NO_MERGES, rotateBytes: 64 * KIB });
  fs.faults.add({ call: 'open', error: 'EACCES', mode: 'sticky', path: /\.tmp$/ });
  for (let from = 0; from < 4_000; from += 10) {
    await store.insertBatch(noisy(from, 10));
    await turns();
  }
  const { bytes, count } = store.stats().logs;
  expect(bytes).toBeGreaterThan(15 * MIB);
  // With 64 KiB each, there would be 256.
  expect(count).toBeLessThan(170);
  await store.close();
});
