import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  StorePoisonedError,
  type MetadataStore,
  type OpenOptions,
  type StoreError,
} from '../../src/index.ts';
import { CrashFs, openOn, type CallRecord } from '../../src/testing/index.ts';
import { noise } from '../golden/workshop.ts';

vi.mock('../../src/base/timers.ts', async (original) => {
  const { fakeable } = await import('../support/fakeable-timers.ts');
  return fakeable(await original());
});

const LONG: OpenOptions = { durability: { syncEveryMs: 60_000 } };
const DEFERRED = { durability: 'deferred' } as const;
const SYNC = { durability: 'sync' } as const;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
});

async function openFresh(options: OpenOptions = LONG): Promise<{
  fs: CrashFs;
  store: MetadataStore;
}> {
  const fs = new CrashFs();
  return { fs, store: await openOn(fs, '/s', options) };
}

function put(key: number, value = 1, data: Uint8Array = new Uint8Array(0)) {
  return { type: 'put' as const, key, value, data };
}

function rejection(promise: Promise<unknown>): Promise<StoreError> {
  return promise.then(
    () => {
      throw new Error('the promise was expected to reject');
    },
    (error: unknown) => error as StoreError,
  );
}

/** The keys of a store on this machine. */
async function keysOn(fs: CrashFs): Promise<number[]> {
  const store = await openOn(fs, '/s');
  const keys = [...store.keys()].map(Number);
  await store.close();
  return keys;
}

/** The number of syncs of the first log. */
function syncsOf(fs: CrashFs): number {
  const isSync = ({ kind, path }: CallRecord) => kind === 'dataSync' && path.endsWith('1');
  return fs.trace.filter(isSync).length;
}

/** Lets a due sync start and end. */
async function untilSynced(store: MetadataStore): Promise<void> {
  for (let round = 0; round < 1_000 && store.stats().logs.unsyncedBytes > 0; round++) {
    await Promise.resolve();
    await new Promise((go) => setImmediate(go));
  }
  expect(store.stats().logs.unsyncedBytes).toBe(0);
}

describe('deferred batches', () => {
  test('are visible, survive a kill, and may be lost in a power failure', async () => {
    const { fs, store } = await openFresh();
    await store.insertBatch([put(1)]);
    await store.insertBatch([put(2)]);
    expect([...store.keys()]).toEqual([1n, 2n]);
    expect(await keysOn(fs.kill())).toEqual([1, 2]);
    expect(await keysOn(fs.minimalCrash())).toEqual([]);
    await store.close();
  });

  test('are counted separately from durable ones in the figures', async () => {
    const { store } = await openFresh();
    await store.insertBatch([put(1)]);
    await store.insertBatch([put(2)]);
    const { lastSequence, lastSyncedSequence, logs } = store.stats();
    expect([lastSequence, lastSyncedSequence]).toEqual([2n, 0n]);
    expect(logs.unsyncedBytes).toBe(logs.bytes);
    await store.sync();
    expect(store.stats()).toMatchObject({ lastSyncedSequence: 2n, logs: { unsyncedBytes: 0 } });
    await store.close();
  });

  test('are durable when a later sync() resolves', async () => {
    const { fs, store } = await openFresh();
    void store.insertBatch([put(1)]);
    void store.insertBatch([put(2)]);
    await store.sync();
    expect(await keysOn(fs.minimalCrash())).toEqual([1, 2]);
    await store.insertBatch([put(3)]);
    expect(await keysOn(fs.minimalCrash())).toEqual([1, 2]);
    await store.close();
  });

  test('make sync() do work; without them it does none', async () => {
    const { fs, store } = await openFresh();
    await store.sync();
    await store.insertBatch([put(1)], SYNC);
    const before = syncsOf(fs);
    await store.sync();
    expect(syncsOf(fs)).toBe(before);
    await store.close();
  });

  test('become durable before a later batch with sync is acknowledged', async () => {
    const { fs, store } = await openFresh();
    await store.insertBatch([put(1)]);
    await store.insertBatch([put(2)]);
    await store.insertBatch([put(3)], SYNC);
    expect(await keysOn(fs.minimalCrash())).toEqual([1, 2, 3]);
    await store.close();
  });

  test('become durable as a whole group by one batch with sync', async () => {
    const { fs, store } = await openFresh({ durability: 'sync' });
    await Promise.all([
      store.insertBatch([put(1)], DEFERRED),
      store.insertBatch([put(2)]),
      store.insertBatch([put(3)], DEFERRED),
    ]);
    expect(await keysOn(fs.minimalCrash())).toEqual([1, 2, 3]);
    await store.close();
  });

  test('become durable before a failed condition with sync is reported', async () => {
    const { fs, store } = await openFresh();
    await store.insertBatch([put(1)]);
    const failed = store.insertBatch([{ ...put(1), ifAbsent: true }], SYNC);
    expect(await rejection(failed)).toMatchObject({ code: 'LODESTORE_CONDITION_FAILED' });
    expect(await keysOn(fs.minimalCrash())).toEqual([1]);
    await store.close();
  });

  test('become durable by close(), which also seals', async () => {
    const { fs, store } = await openFresh();
    await store.insertBatch([put(1)]);
    await store.insertBatch([put(2)]);
    await store.close();
    expect(await keysOn(fs.minimalCrash())).toEqual([1, 2]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('become durable by a rotation before anything is written to the next log', async () => {
    const { fs, store } = await openFresh({ ...LONG, rotateBytes: 64 * 1024 });
    for (let key = 1; key <= 6; key++)
      await store.insertBatch([put(key, key, noise(40_000, `${key}`))]);
    const { logs, lastSyncedSequence } = store.stats();
    expect(logs.count).toBeGreaterThan(1);
    expect(lastSyncedSequence).toBeGreaterThan(0n);
    const kept = await keysOn(fs.minimalCrash());
    expect(kept).toEqual(Array.from({ length: Number(lastSyncedSequence) }, (_, i) => i + 1));
    await store.close();
  });

  test('are not merged before their log is durable, and none is lost', async () => {
    const { fs, store } = await openFresh();
    await store.insertBatch([put(1)]);
    await store.merge();
    await store.insertBatch([put(2)]);
    expect(await keysOn(fs.minimalCrash())).toEqual([1]);
    await store.close();
  });
});

/** The timer that checks the store's files runs as long as the store is open. */
const OTHER_TIMERS = 1;

describe('the timer', () => {
  test('syncs once after the interval, and runs only while a batch waits', async () => {
    const { fs, store } = await openFresh({ durability: { syncEveryMs: 50 } });
    expect(vi.getTimerCount()).toBe(OTHER_TIMERS);
    await store.insertBatch([put(1)]);
    await store.insertBatch([put(2)]);
    await new Promise((go) => setImmediate(go));
    expect(vi.getTimerCount()).toBe(OTHER_TIMERS + 1);
    vi.advanceTimersByTime(49);
    expect(vi.getTimerCount()).toBe(OTHER_TIMERS + 1);
    vi.advanceTimersByTime(1);
    await untilSynced(store);
    expect(vi.getTimerCount()).toBe(OTHER_TIMERS);
    expect(await keysOn(fs.minimalCrash())).toEqual([1, 2]);
    await store.close();
  });

  test('is stopped by a sync for another reason', async () => {
    const { store } = await openFresh({ durability: { syncEveryMs: 50 } });
    await store.insertBatch([put(1)]);
    await store.sync();
    expect(vi.getTimerCount()).toBe(OTHER_TIMERS);
    await store.close();
  });

  test('lets a deferred batch of a store with sync wait at most 100 ms', async () => {
    const { fs, store } = await openFresh({ durability: 'sync' });
    await store.insertBatch([put(1)], DEFERRED);
    await new Promise((go) => setImmediate(go));
    vi.advanceTimersByTime(100);
    await untilSynced(store);
    expect(await keysOn(fs.minimalCrash())).toEqual([1]);
    await store.close();
  });
});

describe('a store with sync', () => {
  test('opens no second descriptor of its log and never syncs it twice', async () => {
    const { fs, store } = await openFresh({});
    await store.insertBatch([put(9)]);
    const from = fs.trace.length;
    for (let key = 1; key <= 5; key++) await store.insertBatch([put(key)]);
    const kinds = fs.trace
      .slice(from)
      .filter(({ path }) => path.endsWith('log_0000000000000001'))
      .map(({ kind }) => kind);
    // Each write also checks that the log still exists.
    expect(kinds.filter((kind) => kind !== 'stat')).toEqual(
      Array.from({ length: 5 }, () => 'write'),
    );
    await store.close();
  });
});

describe('a sync that fails', () => {
  async function failed(): Promise<{ fs: CrashFs; store: MetadataStore; poisoned: unknown[] }> {
    const { fs, store } = await openFresh();
    const poisoned: unknown[] = [];
    store.on('poisoned', (error) => poisoned.push(error));
    await store.insertBatch([put(1)], SYNC);
    await store.insertBatch([put(2)]);
    await new Promise((go) => setImmediate(go));
    fs.faults.add({ call: 'dataSync', nth: 1, error: 'EIO', path: /log_0000000000000001/ });
    return { fs, store, poisoned };
  }

  test('rejects sync() and is reported to listeners, and is never retried', async () => {
    const { fs, store, poisoned } = await failed();
    const error = await rejection(store.sync());
    expect(error).toBeInstanceOf(StorePoisonedError);
    expect(error.message).toMatch('batches after sequence 1 may be lost');
    expect(error.cause).toMatchObject({ code: 'EIO' });
    await new Promise((go) => setImmediate(go));
    expect(poisoned).toHaveLength(1);
    const syncs = syncsOf(fs);
    expect(await rejection(store.sync())).toBeInstanceOf(StorePoisonedError);
    expect(await rejection(store.insertBatch([put(3)]))).toBeInstanceOf(StorePoisonedError);
    expect([...store.keys()]).toEqual([1n, 2n]);
    expect(await rejection(store.close())).toBeInstanceOf(StorePoisonedError);
    expect(syncsOf(fs)).toBe(syncs);
    expect(await keysOn(fs.minimalCrash())).toEqual([1]);
  });

  test('rejects a batch with sync, which is not written', async () => {
    const { fs, store } = await failed();
    const error = await rejection(store.insertBatch([put(3)], SYNC));
    expect(error).toBeInstanceOf(StorePoisonedError);
    expect(error.outcome).toBe('not-applied');
    await rejection(store.close());
    expect(await keysOn(fs.kill())).toEqual([1, 2]);
  });

  test('rejects close(), which still releases the directory', async () => {
    const { fs, store } = await failed();
    expect(await rejection(store.close())).toBeInstanceOf(StorePoisonedError);
    const again = await openOn(fs, '/s');
    await again.close();
  });

  test('by the timer poisons the store', async () => {
    const { store, poisoned } = await failed();
    vi.advanceTimersByTime(60_000);
    for (let i = 0; i < 20; i++) await new Promise((go) => setImmediate(go));
    expect(poisoned).toHaveLength(1);
    expect(store.stats().state).toBe('poisoned');
    await rejection(store.close());
  });

  test('of reserved zeros, which included deferred batches, is detected', async () => {
    const { fs, store } = await openFresh();
    await store.insertBatch([put(1)]);
    fs.faults.add({ call: 'dataSync', nth: 1, error: 'EIO', path: /log_0000000000000001/ });
    const before = syncsOf(fs);
    await store.insertBatch([put(2, 2, noise(200_000, 'ahead'))]);
    while (syncsOf(fs) === before) await Promise.resolve();
    expect(await rejection(store.sync())).toBeInstanceOf(StorePoisonedError);
    await rejection(store.close());
    expect(await keysOn(fs.minimalCrash())).toEqual([]);
  });

  test('for lack of space is not handled as a lack of space for a batch', async () => {
    const { fs, store } = await openFresh();
    await store.insertBatch([put(1)]);
    fs.faults.add({ call: 'dataSync', nth: 1, error: 'ENOSPC', path: /log_0000000000000001/ });
    expect(await rejection(store.sync())).toBeInstanceOf(StorePoisonedError);
    await rejection(store.close());
  });
});

test('a deferred batch without space is truncated, and earlier ones stay', async () => {
  const { fs, store } = await openFresh();
  await store.insertBatch([put(1)]);
  await new Promise((go) => setImmediate(go));
  fs.faults.add({ call: 'write', nth: 1, error: 'ENOSPC', mode: 'short', appliedBytes: 60 });
  const error = await rejection(store.insertBatch([put(2)]));
  expect(error).toMatchObject({ code: 'LODESTORE_FULL', outcome: 'not-applied' });
  await store.insertBatch([put(3)]);
  await store.sync();
  expect(await keysOn(fs.minimalCrash())).toEqual([1, 3]);
  await store.close();
});

describe('the state after a power failure', () => {
  /** Three deferred batches, and the bytes of the log before and after each. */
  async function written(): Promise<{ fs: CrashFs; ends: number[] }> {
    const { fs, store } = await openFresh();
    await store.insertBatch([put(1)], SYNC);
    const ends = [store.stats().logs.bytes];
    for (let key = 2; key <= 4; key++) {
      await store.insertBatch([put(key)]);
      ends.push(store.stats().logs.bytes);
    }
    return { fs, ends };
  }

  function logWith(fs: CrashFs, change: (bytes: Uint8Array) => void): CrashFs {
    const files = Object.fromEntries(fs.files());
    const bytes = files['/s/log_0000000000000001']!.slice();
    change(bytes);
    return CrashFs.withFiles({ ...files, '/s/log_0000000000000001': bytes });
  }

  test('a later group without an earlier one is dropped with it and reported', async () => {
    const { fs, ends } = await written();
    const crashed = logWith(fs, (bytes) => bytes.fill(0, ends[1], ends[2]));
    const store = await openOn(crashed, '/s');
    expect([...store.keys()]).toEqual([1n, 2n]);
    expect(store.recovery.tornTail).toMatchObject({ offset: ends[1], unsyncedUpTo: 4n });
    await store.insertBatch([put(9)]);
    await store.close();
    expect(await keysOn(crashed.minimalCrash())).toEqual([1, 2, 9]);
  });

  test('groups synced before they were written stay: their loss is damage', async () => {
    const { fs, ends } = await written();
    const first = logWith(fs, (bytes) => {
      bytes.fill(9, ends[0]! - 4, ends[0]);
      bytes.fill(0, ends[0], ends[1]);
    });
    await expect(openOn(first, '/s')).rejects.toMatchObject({ code: 'LODESTORE_CORRUPTION' });
  });

  test('recovery rewrites all groups that nothing proves synced', async () => {
    const { fs, ends } = await written();
    const killed = fs.kill();
    const store = await openOn(killed, '/s');
    const rewritten = killed.trace.filter(
      ({ kind, path }) => kind === 'write' && path.endsWith('log_0000000000000001'),
    );
    expect(rewritten.map(({ detail }) => detail)).toEqual([`@${ends[0]} +${ends[3]! - ends[0]!}`]);
    await store.close();
  });

  test('a first log that lost its head but not the rest counts as never written', async () => {
    const { fs, store } = await openFresh();
    await store.insertBatch([put(1)]);
    const end = store.stats().logs.bytes;
    await store.insertBatch([put(2)]);
    const crashed = logWith(fs, (bytes) => bytes.fill(0, 0, end));
    expect(await keysOn(crashed)).toEqual([]);
  });
});

test.each([
  ['sometimes', TypeError],
  [{}, TypeError],
  [null, TypeError],
  [{ syncEveryMs: 0 }, RangeError],
  [{ syncEveryMs: 1.5 }, RangeError],
  [{ syncEveryMs: 3_600_001 }, RangeError],
])('durability %j is refused', async (durability, type) => {
  const options = { durability } as unknown as OpenOptions;
  await expect(openOn(new CrashFs(), '/s', options)).rejects.toThrow(type);
});

test('an invalid durability of a batch is refused', async () => {
  const { store } = await openFresh();
  const durability = 'soon' as 'sync';
  await expect(store.insertBatch([put(1)], { durability })).rejects.toThrow(RangeError);
  await store.close();
  await expect(store.sync()).rejects.toMatchObject({ code: 'LODESTORE_CLOSED' });
});
