import { describe, expect, test } from 'vitest';
import {
  FencedError,
  MetadataStore,
  StoreBusyError,
  StoreError,
  StoreFullError,
  WriteBatch,
  type OpenOptions,
  type Update,
} from '../../src/index.ts';
import type { Lease, LeaseOptions } from '../../src/fs/file-system.ts';
import type { LeaseMoment } from '../../src/fs/lease-clock.ts';
import { takeLease } from '../../src/fs/lease.ts';
import { NodeFileSystem } from '../../src/fs/node-file-system.ts';
import { openStoreIn } from '../../src/store/metadata-store.ts';
import { commitChannel } from '../../src/store/observe/channels.ts';
import { NODE_ENVIRONMENT } from '../../src/store/open/environment.ts';
import { CrashFs, openOn, type CrashFsOptions } from '../../src/testing/index.ts';
import { simulatedEnvironment } from '../../src/testing/open-on.ts';
import { hashesOf } from '../support/machine.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const INLINE = { commits: 'inline', mergeBytes: 1 << 30 } as const;
const LEASE = '/s/lodestore.lease';
const FIRST_LOG = '/s/log_0000000000000001';

function put(key: number, value = key + 1): Update[] {
  return [{ type: 'put', key, value }];
}

function noise(lengthBytes: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length: lengthBytes }, () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b_3c6d) + 0x9e37_79b9;
    return state >>> 24;
  });
}

function keysOf(store: MetadataStore): number[] {
  return [...store.keys()].map(Number);
}

async function keysAfter(fs: CrashFs): Promise<number[]> {
  const store = await openOn(fs, '/s');
  const keys = keysOf(store);
  await store.close();
  return keys;
}

/** The error that `call` throws. */
function thrown(call: () => void): StoreError {
  try {
    call();
  } catch (error) {
    if (error instanceof StoreError) return error;
    throw error;
  }
  throw new Error('nothing is thrown');
}

/** Writes and syncs of the first log, in order. */
function callsOnLog(fs: CrashFs): string[] {
  return fs.trace
    .filter(({ kind, path }) => path === FIRST_LOG && (kind === 'write' || kind === 'dataSync'))
    .map(({ kind }) => kind);
}

describe('a batch committed by insertBatchSync', () => {
  test('is durable and visible when the call returns, whatever crash follows', async () => {
    const fs = new CrashFs();
    const store = await openOn(fs, '/s', INLINE);
    store.insertBatchSync(new WriteBatch().put(1, 10));
    expect(store.get(1)?.value).toBe(10n);
    expect(await keysAfter(fs.minimalCrash())).toEqual([1]);
    store.insertBatchSync(put(2));
    expect(await keysAfter(fs.minimalCrash())).toEqual([1, 2]);
    await store.close();
  });

  test('follows queued batches and is followed by them without a turn in between', async () => {
    const fs = new CrashFs();
    const store = await openOn(fs, '/s', INLINE);
    await store.insertBatch(put(1));
    store.insertBatchSync(put(2));
    await store.merge();
    store.insertBatchSync(put(3));
    await Promise.all([store.insertBatch(put(4)), store.insertBatch(put(5))]);
    store.insertBatchSync([{ type: 'del', key: 1 }]);
    expect(keysOf(store)).toEqual([2, 3, 4, 5]);
    await store.close();
    expect(await keysAfter(fs)).toEqual([2, 3, 4, 5]);
  });

  test('leaves the same files as an asynchronous one', async () => {
    const filesOf = async (commits: 'background' | 'inline'): Promise<Map<string, string>> => {
      const fs = new CrashFs();
      const store = await openOn(fs, '/s', { ...INLINE, commits });
      for (let key = 0; key < 30; key++) {
        const batch = new WriteBatch().put(key, 1, noise(20_000)).delete(key + 1);
        const durability = key % 3 === 0 ? 'deferred' : 'sync';
        if (commits === 'inline') store.insertBatchSync(batch, { durability });
        else await store.insertBatch(batch, { durability });
      }
      await store.close();
      return hashesOf(fs.files());
    };
    expect(await filesOf('inline')).toEqual(await filesOf('background'));
  });

  test('leaves nothing in flight, also when the log grows or rotates', async () => {
    const fs = new CrashFs();
    const store = await openOn(fs, '/s', { ...INLINE, rotateBytes: 1 << 20 });
    const data = noise(100_000);
    for (let key = 0; key < 25; key++) {
      const from = fs.trace.length;
      store.insertBatchSync(new WriteBatch().put(key, 1, data));
      const made = fs.trace.slice(from).filter(({ path }) => path.includes('/log_'));
      expect(made.filter(({ outcome }) => outcome !== 'ok')).toEqual([]);
    }
    expect(store.stats().logs.count).toBe(3);
    expect(fs.files().get(FIRST_LOG)!.length).toBeGreaterThan(1 << 20);
    await store.close();
    expect(await keysAfter(fs)).toHaveLength(25);
  });

  test('is judged by its conditions against everything committed before', async () => {
    const store = await openOn(new CrashFs(), '/s', INLINE);
    store.insertBatchSync([{ type: 'put', key: 1, value: 5, ifAbsent: true }]);
    const error = thrown(() =>
      store.insertBatchSync([
        { type: 'put', key: 2, value: 1 },
        { type: 'put', key: 1, value: 6, ifValue: 4 },
      ]),
    );
    expect(error).toMatchObject({ code: 'LODESTORE_CONDITION_FAILED', found: 5n, index: 1 });
    store.insertBatchSync([{ type: 'put', key: 1, value: 6, ifValue: 5 }]);
    expect([...store.entries()].map(([key, { value }]) => [key, value])).toEqual([[1n, 6n]]);
    await store.close();
  });

  test('is counted, traced and followed like any other', async () => {
    const store = await openOn(new CrashFs(), '/s', INLINE);
    const events: string[] = [];
    const names = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;
    const listeners = names.map((name) => {
      const listener = (): void => void events.push(name);
      commitChannel[name].subscribe(listener);
      return () => commitChannel[name].unsubscribe(listener);
    });
    const feed = store.changes();
    const first = feed.next();
    store.insertBatchSync(new WriteBatch().put(1, 1).put(2, 2));
    for (const stop of listeners) stop();
    expect(events).toEqual(['start', 'end', 'asyncStart', 'asyncEnd']);
    const { groups, batches, updates, syncs, latency } = store.stats().commits;
    expect([groups, batches, updates, syncs, latency.batchMs.count]).toEqual([1, 1, 2, 1, 1]);
    expect(store.stats().lastSequence).toBe(1n);
    expect((await first).value).toMatchObject({ sequence: 1n });
    await feed.return?.();
    await store.close();
  });
});

describe('deferred batches', () => {
  test('are synced through their own descriptor before a durable group', async () => {
    const fs = new CrashFs();
    const store = await openOn(fs, '/s', INLINE);
    const before = callsOnLog(fs).length;
    store.insertBatchSync(put(1), { durability: 'deferred' });
    store.insertBatchSync(put(2), { durability: 'deferred' });
    expect(store.stats().logs.unsyncedBytes).toBeGreaterThan(0);
    store.insertBatchSync(put(3));
    expect(callsOnLog(fs).slice(before)).toEqual(['write', 'write', 'dataSync', 'write']);
    expect(await keysAfter(fs.minimalCrash())).toEqual([1, 2, 3]);
    await store.close();
  });

  test('are synced by the first call after they are due, because a loop starves the timer', async () => {
    const fs = new CrashFs();
    const environment = { ...simulatedEnvironment(fs), startTimer: () => () => undefined };
    const options = { ...INLINE, durability: { syncEveryMs: 1 } };
    const store = await openStoreIn(environment, '/s', options);
    store.insertBatchSync(put(1));
    const start = performance.now();
    while (performance.now() < start + 2);
    store.insertBatchSync(put(2));
    expect(store.stats().lastSyncedSequence).toBe(1n);
    await store.close();
  });
});

describe('a batch that would have to wait is refused as busy', () => {
  test('while others are queued or being committed', async () => {
    const store = await openOn(new CrashFs(), '/s', INLINE);
    const queued = store.insertBatch(put(1));
    const error = thrown(() => store.insertBatchSync(put(2)));
    expect(error).toMatchObject({
      name: 'StoreBusyError',
      code: 'LODESTORE_BUSY',
      reason: 'queue',
      outcome: 'not-applied',
    });
    await queued;
    let inner: StoreError | undefined;
    const listener = (): void => {
      inner ??= thrown(() => store.insertBatchSync(put(3)));
    };
    commitChannel.start.subscribe(listener);
    store.insertBatchSync(put(2));
    commitChannel.start.unsubscribe(listener);
    expect(inner).toBeInstanceOf(StoreBusyError);
    expect(keysOf(store)).toEqual([1, 2]);
    await store.close();
  });

  test('while merges do not keep up because a loop starves them', async () => {
    const store = await openOn(new CrashFs(), '/s', { ...INLINE, logLimitBytes: 1 << 20 });
    const data = noise(60_000);
    let written = 0;
    const fill = (): void => {
      for (; written < 100; written++) store.insertBatchSync(new WriteBatch().put(7, 1, data));
    };
    expect(thrown(fill)).toMatchObject({ reason: 'merges', outcome: 'not-applied' });
    expect(store.stats().commits.batches).toBe(written);
    // Waiting batches are still written, and then there is space again.
    await store.insertBatch(put(1));
    await store.merge();
    store.insertBatchSync(put(2));
    await store.close();
  });

  test('while a pause is checked', async () => {
    const fs = new CrashFs();
    const store = await openOn(fs, '/s', INLINE);
    fs.leases.expire(LEASE);
    fs.leases.wake(LEASE);
    expect(thrown(() => store.insertBatchSync(put(1)))).toMatchObject({ reason: 'pause' });
    await store.insertBatch(put(2));
    store.insertBatchSync(put(3));
    expect(keysOf(store)).toEqual([2, 3]);
    await store.close();
  });

  test('when a full disk must first release the reserve, and while it is released', async () => {
    const mib = 1 << 20;
    const fs = new CrashFs({ capacityBytes: 32 * mib });
    const store = await openOn(fs, '/s', { ...INLINE, reserveFileBytes: 2 * mib });
    const reserve = (): string => store.stats().space.reserveFile;
    await store.insertBatch(put(1));
    while (reserve() !== 'kept') await new Promise(setImmediate);
    const ballast = await fs.open('/ballast', 'wx');
    await ballast.truncate(await fs.freeBytes('/'));
    const data = noise(200_000);
    const fill = (): void => {
      for (let key = 10; key < 20; key++) store.insertBatchSync(new WriteBatch().put(key, 1, data));
    };
    // A put does not wait for the reserve, which is for deletes.
    expect(thrown(fill)).toBeInstanceOf(StoreFullError);
    expect(store.stats().space.state).toBe('full');
    const noSpace = { call: 'write', error: 'ENOSPC', path: /\/log_/ } as const;
    fs.faults.add(noSpace);
    const remove = (): unknown => store.insertBatchSync(new WriteBatch().delete(1));
    expect(thrown(remove)).toMatchObject({ reason: 'space', outcome: 'not-applied' });
    expect(reserve()).toBe('kept');
    fs.faults.add(noSpace);
    await store.insertBatch([{ type: 'del', key: 1 }]);
    expect(store.has(1)).toBe(false);
    expect(reserve()).toBe('given-up');
    expect(thrown(() => store.insertBatchSync(put(2)))).toMatchObject({ reason: 'space' });
    await ballast.truncate(0);
    // A caller that only retries need not wait for another call.
    for (let turn = 0; reserve() !== 'kept' && turn < 1000; turn++) {
      thrown(() => store.insertBatchSync(put(2)));
      await new Promise(setImmediate);
    }
    store.insertBatchSync(put(2));
    expect(store.has(2)).toBe(true);
    await ballast.close();
    await store.close();
  });
});

describe('a pause', () => {
  /** Runs `meanwhile` in the middle of the next write of a log. */
  function during(options: CrashFsOptions = {}): { fs: CrashFs; next: (run: () => void) => void } {
    let meanwhile: (() => void) | undefined;
    const fs = new CrashFs({
      ...options,
      onCrashPoint: ({ path }) => {
        if (!path.includes('/log_')) return;
        const run = meanwhile;
        meanwhile = undefined;
        run?.();
      },
    });
    return { fs, next: (run) => (meanwhile = run) };
  }

  function renewals(fs: CrashFs): number {
    return fs.trace.filter(({ kind }) => kind === 'renewLease').length;
  }

  test('before or during the write of a batch: it returns when the lease is ours again', async () => {
    const { fs, next } = during();
    const store = await openOn(fs, '/s', INLINE);
    store.insertBatchSync(put(1));
    fs.leases.expire(LEASE);
    store.insertBatchSync(put(2));
    expect(renewals(fs)).toBe(2);
    let seen: unknown;
    next(() => {
      fs.leases.expire(LEASE);
      seen = store.get(3);
    });
    store.insertBatchSync(put(3));
    expect([renewals(fs), seen]).toEqual([4, undefined]);
    await store.close();
    expect(await keysAfter(fs)).toEqual([1, 2, 3]);
  });

  test('in which another host takes the lease: the batch is not acknowledged and never shows', async () => {
    const { fs, next } = during();
    const store = await openOn(fs, '/s', INLINE);
    store.insertBatchSync(put(1));
    next(() => {
      fs.leases.expire(LEASE);
      fs.leases.takeElsewhere(LEASE);
    });
    const error = thrown(() => store.insertBatchSync(put(2)));
    expect(error).toBeInstanceOf(FencedError);
    expect(error.outcome).toBe('unknown');
    expect(store.has(2)).toBe(false);
    expect(thrown(() => store.insertBatchSync(put(3))).outcome).toBe('not-applied');
    await store.close().catch(() => undefined);
  });
});

/** The machine's file system, with leases on a clock that the test sets. */
class ClockedFileSystem extends NodeFileSystem {
  now: LeaseMoment = { monotonicMs: 0, uptimeMs: 0 };
  renewals = 0;

  override async takeLease(path: string, options: LeaseOptions): Promise<Lease> {
    const lease = await takeLease(path, options, () => this.now);
    const blocking = {
      refresh: () => lease.blocking!.refresh(),
      renew: () => {
        this.renewals++;
        lease.blocking!.renew();
      },
    };
    return {
      isFresh: () => lease.isFresh(),
      renew: () => lease.renew(),
      release: () => lease.release(),
      blocking,
    };
  }
}

test('a loop of three stale limits keeps the lease although it starves the timer', async () => {
  const leaseStaleMs = 6_000;
  const fileSystem = new ClockedFileSystem();
  const options = { ...INLINE, leaseStaleMs, durability: { syncEveryMs: 3_600_000 } };
  const directory = await temporaryDirectory();
  const store = await openStoreIn({ ...NODE_ENVIRONMENT, fileSystem }, directory, options);
  for (let ms = 0; ms <= 3 * leaseStaleMs; ms += 500) {
    fileSystem.now = { monotonicMs: ms, uptimeMs: ms };
    store.insertBatchSync(put(ms));
  }
  expect(fileSystem.renewals).toBe(0);
  await store.close();
});

describe('a failure', () => {
  test('of the write poisons the store, with an unknown outcome', async () => {
    const fs = new CrashFs();
    const store = await openOn(fs, '/s', INLINE);
    store.insertBatchSync(put(1));
    fs.faults.add({ call: 'writeSync', error: 'EIO', path: FIRST_LOG });
    expect(thrown(() => store.insertBatchSync(put(2)))).toMatchObject({
      code: 'LODESTORE_POISONED',
      outcome: 'unknown',
    });
    expect(thrown(() => store.insertBatchSync(put(3))).outcome).toBe('not-applied');
    expect(keysOf(store)).toEqual([1]);
    await store.close();
    expect(await keysAfter(fs.minimalCrash())).toEqual([1]);
  });

  test('for lack of space is truncated: the batch is not applied, and the next one is', async () => {
    const fs = new CrashFs();
    const store = await openOn(fs, '/s', INLINE);
    store.insertBatchSync(put(1));
    fs.faults.add({ call: 'write', error: 'ENOSPC', mode: 'short', path: FIRST_LOG });
    expect(thrown(() => store.insertBatchSync(put(2)))).toMatchObject({
      code: 'LODESTORE_FULL',
      outcome: 'not-applied',
    });
    store.insertBatchSync(put(3));
    expect(await keysAfter(fs.minimalCrash())).toEqual([1, 3]);
    await store.close();
  });

  test('because a log was removed is reported before the batch is acknowledged', async () => {
    const fs = new CrashFs();
    const store = await openOn(fs, '/s', INLINE);
    store.insertBatchSync(put(1));
    await fs.unlink(FIRST_LOG);
    expect(thrown(() => store.insertBatchSync(put(2))).code).toBe('LODESTORE_FILES_LOST');
    expect(keysOf(store)).toEqual([1]);
    await store.close();
  });
});

test('misuse changes nothing', async () => {
  const fs = new CrashFs();
  const wrong = { commits: 'async' } as unknown as OpenOptions;
  await expect(openOn(fs, '/s', wrong)).rejects.toThrow('options.commits');
  const plain = await openOn(fs, '/s');
  const misuse = expect.objectContaining({ name: 'TypeError', outcome: 'not-applied' });
  expect(() => plain.insertBatchSync(put(1))).toThrow(misuse);
  await plain.close();
  const without = new Proxy(fs, {
    get: (target, name) => {
      const member: unknown = name === 'blocking' ? undefined : Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  await expect(openOn(without, '/s', INLINE)).rejects.toThrow('blocking calls');
  const reader = await openOn(fs, '/s', { readOnly: true, commits: 'inline' });
  expect(thrown(() => reader.insertBatchSync(put(1))).code).toBe('LODESTORE_READ_ONLY');
  await reader.close();
  const store = await openOn(fs, '/s', INLINE);
  expect(() => store.insertBatchSync([{ type: 'put', key: 1, value: 0 }])).toThrow('value');
  expect(() => store.insertBatchSync(7 as unknown as WriteBatch)).toThrow(misuse);
  await store.close();
  expect(thrown(() => store.insertBatchSync(put(1))).code).toBe('LODESTORE_CLOSED');
  expect(await keysAfter(fs)).toEqual([]);
});

test('works on the real file system beside merges on a thread', async () => {
  const directory = await temporaryDirectory();
  const options = { commits: 'inline', mergeBytes: 20_000, rotateBytes: 64 * 1024 } as const;
  const store = await MetadataStore.open(directory, options);
  const data = noise(4_000);
  for (let key = 0; key < 60; key++) {
    store.insertBatchSync(new WriteBatch().put(key % 40, key + 1, data));
    await new Promise(setImmediate);
  }
  await store.merge();
  await store.close();
  const again = await MetadataStore.open(directory, { readOnly: true });
  expect(again.size).toBe(40);
  expect(again.get(19)?.value).toBe(60n);
  await again.close();
});
