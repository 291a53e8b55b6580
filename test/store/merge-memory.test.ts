import { expect, test, vi } from 'vitest';
import {
  StoreFullError,
  StorePoisonedError,
  WriteBatch,
  type MetadataStore,
  type StoreError,
} from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';

vi.mock('../../src/base/timers.ts', async (original) => {
  const { fakeable } = await import('../support/fakeable-timers.ts');
  return fakeable(await original());
});

const MIB = 1024 * 1024;
/** A merge is due when it frees 1 MiB of memory. */
const OPTIONS = { mergeBytes: 256 * 1024 };

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function idle(store: MetadataStore): Promise<void> {
  while (store.stats().merges.state === 'running') await turn();
}

function memoryOf(store: MetadataStore): number {
  const { baseBytes, liveBytes, frozenBytes } = store.stats().memory;
  return baseBytes + liveBytes + frozenBytes;
}

/** Data that zstd compresses to almost nothing. */
function repetitive(serial: number, lengthBytes: number): Uint8Array {
  return new Uint8Array(Buffer.alloc(lengthBytes, `${serial}`));
}

test.each([
  ['one key of 16 KiB', 1, 16 * 1024, 1],
  ['one key of 1 KiB, many times in a batch', 1, 1024, 16],
  ['hot keys', 20, 16 * 1024, 1],
])('%s: merges bound the memory of replaced rows, though the logs hold little', async (...row) => {
  const [, keys, dataBytes, perBatch] = row;
  const fs = new CrashFs({ trace: false });
  const store = await openOn(fs, '/s', OPTIONS);
  const updates = (8 * MIB) / dataBytes;
  let highest = 0;
  for (let serial = 0; serial < updates; serial += perBatch) {
    const batch = new WriteBatch();
    for (let i = serial; i < serial + perBatch; i++) {
      batch.put(i % keys, i + 1, repetitive(i, dataBytes));
    }
    await store.insertBatch(batch);
    await idle(store);
    highest = Math.max(highest, memoryOf(store));
  }
  expect(store.stats().merges.completed).toBeGreaterThanOrEqual(6);
  // Not once per update: a merge frees as much as makes it due.
  expect(store.stats().merges.completed).toBeLessThanOrEqual(8);
  expect(highest).toBeLessThan(4 * MIB);
  expect(store.size).toBe(keys);
  expect(store.get((updates - 1) % keys)?.data).toEqual(repetitive(updates - 1, dataBytes));
  await store.close();
});

test('deletes free memory by themselves, before and after a restart', async () => {
  const fs = new CrashFs({ trace: false });
  let store = await openOn(fs, '/s', OPTIONS);
  const count = 20_000;
  for (let key = 0; key < count; key += 1_000) {
    const batch = new WriteBatch();
    for (let i = key; i < key + 1_000; i++) batch.put(i, 1, repetitive(i, 200));
    await store.insertBatch(batch);
  }
  await store.merge();
  const full = memoryOf(store);
  const { completed } = store.stats().merges;
  const removed = 18_000;
  const quiet = await openAgain({ mergeBytes: 2 ** 40 });
  for (let key = 0; key < removed; key += 1_000) {
    const batch = new WriteBatch();
    for (let i = key; i < key + 1_000; i++) batch.delete(i);
    await quiet.insertBatch(batch);
  }
  expect(quiet.stats().merges.completed).toBe(0);
  expect(completed).toBeGreaterThan(0);
  // The deletes in the logs are known after the replay.
  store = await openAgain(OPTIONS);
  await idle(store);
  expect(store.stats().merges.completed).toBe(1);
  expect(memoryOf(store)).toBeLessThan(full / 4);
  await store.close();

  async function openAgain(options: { mergeBytes: number }): Promise<MetadataStore> {
    await store.close();
    return (store = await openOn(fs, '/s', options));
  }
});

test('updates of all records cause no merge before they replace as much as there is', async () => {
  const fs = new CrashFs({ trace: false });
  const store = await openOn(fs, '/s', OPTIONS);
  const put = async (from: number, to: number): Promise<void> => {
    const batch = new WriteBatch();
    for (let i = from; i < to; i++) batch.put(i, 1, repetitive(i, 200));
    await store.insertBatch(batch);
    await idle(store);
  };
  for (let key = 0; key < 20_000; key += 1_000) await put(key, key + 1_000);
  await store.merge();
  const { completed } = store.stats().merges;
  for (let key = 0; key < 14_000; key += 1_000) await put(key, key + 1_000);
  expect(store.stats().merges.completed).toBe(completed);
  for (let round = 0; round < 2; round++) {
    for (let key = 0; key < 20_000; key += 1_000) await put(key, key + 1_000);
  }
  expect(store.stats().merges.completed).toBeGreaterThan(completed);
  await store.close();
});

test('while merges fail, dead rows delay writes, then refuse them, until a merge succeeds', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', OPTIONS);
    fs.faults.add({ call: 'write', error: 'ENOSPC', mode: 'sticky', path: /\.tmp$/ });
    /** Writes while time passes. Resolves to undefined, or to the refusal. */
    const write = async (serial: number): Promise<StoreError | undefined> => {
      const data = repetitive(serial, 16 * 1024);
      const written = store.insertBatch(new WriteBatch().put(1, serial, data)).then(
        () => undefined,
        (error: StoreError) => error,
      );
      for (let i = 0; i < 30; i++) await turn();
      vi.advanceTimersByTime(100);
      return written;
    };
    let serial = 1;
    let rejected = await write(serial);
    while (rejected === undefined && serial < 2_000) rejected = await write(++serial);
    expect(rejected).toBeInstanceOf(StoreFullError);
    expect(rejected).toMatchObject({ outcome: 'not-applied' });
    expect(rejected!.message).toMatch(/replaced rows .* merges do not complete/);
    expect(memoryOf(store)).toBeLessThan(16 * MIB);
    fs.faults.clear();
    await store.merge();
    await store.insertBatch(new WriteBatch().put(1, serial));
    expect(store.get(1)?.value).toBe(BigInt(serial));
    await store.close();
  } finally {
    vi.useRealTimers();
  }
});

/** Fills a store with records and deletes the first 20,000 of them, without a merge. */
async function storeOfDeletes(fs = new CrashFs({ trace: false })): Promise<MetadataStore> {
  const store = await openOn(fs, '/s', {});
  const batch = new WriteBatch();
  for (let key = 0; key <= 20_000; key++) batch.put(key, 1);
  await store.insertBatch(batch);
  await store.merge();
  await store.deleteRange({ lt: 20_000 });
  expect(store.stats().merges).toMatchObject({ state: 'idle', completed: 1 });
  return store;
}

/** Reads of which each passes over 16,384 of the deletes or more: more than 1,000,000 together. */
function readPastDeletes(records: Pick<MetadataStore, 'firstKey' | 'lastKey'>): void {
  for (let i = 0; i < 62; i++) expect(records.firstKey()).toBe(20_000n);
}

test('reads that pass over many deletes make a merge due, without a commit', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const store = await storeOfDeletes();
    for (let i = 0; i < 50; i++) expect(store.lastKey({ lte: 20_000 })).toBe(20_000n);
    for (let i = 0; i < 61; i++) expect(store.firstKey()).toBe(20_000n);
    // Short passes lose no time.
    for (let i = 0; i < 200; i++) expect(store.firstKey({ gte: 10_000 })).toBe(20_000n);
    vi.advanceTimersByTime(5_000);
    expect(store.stats().merges.state).toBe('idle');
    expect(store.firstKey()).toBe(20_000n);
    vi.advanceTimersByTime(5_000);
    expect(store.stats().merges.state).toBe('running');
    await idle(store);
    expect(store.stats().merges.completed).toBe(2);
    await store.close();
  } finally {
    vi.useRealTimers();
  }
});

test('a commit after such reads makes the merge, once, and reads of a snapshot make none', async () => {
  const store = await storeOfDeletes();
  const snapshot = store.snapshot();
  readPastDeletes(store);
  await store.put(30_000, 1);
  await idle(store);
  expect(store.stats().merges.completed).toBe(2);
  readPastDeletes(snapshot);
  await store.put(30_001, 1);
  await store.put(30_002, 1);
  await idle(store);
  expect(store.stats().merges.completed).toBe(2);
  snapshot.release();
  await store.close();
});

test('a poisoned store begins no merge, though reads have made one due', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const fs = new CrashFs({ trace: false });
    const store = await storeOfDeletes(fs);
    fs.faults.add({ call: 'dataSync', error: 'EIO', path: /log_/ });
    await expect(store.put(30_000, 1)).rejects.toBeInstanceOf(StorePoisonedError);
    readPastDeletes(store);
    const failed = vi.fn<() => void>();
    store.on('mergeFailed', failed);
    vi.advanceTimersByTime(20_000);
    expect(store.stats().merges.state).toBe('idle');
    for (let i = 0; i < 30; i++) await turn();
    expect(failed).not.toHaveBeenCalled();
    await store.close().catch(() => undefined);
  } finally {
    vi.useRealTimers();
  }
});
