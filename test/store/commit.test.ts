import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import {
  AbortedError,
  BatchTooLargeError,
  StoreFullError,
  StorePoisonedError,
  WriteBatch,
  type MetadataStore,
  type StoreError,
} from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';

async function openFresh(options: Parameters<typeof openOn>[2] = {}): Promise<{
  fs: CrashFs;
  store: MetadataStore;
}> {
  const fs = new CrashFs();
  const store = await openOn(fs, '/s', options);
  return { fs, store };
}

async function rejection(promise: Promise<unknown>): Promise<StoreError> {
  return promise.then(
    () => {
      throw new Error('the promise was expected to reject');
    },
    (error: unknown) => error as StoreError,
  );
}

function put(key: number, value = 1): { type: 'put'; key: number; value: number } {
  return { type: 'put', key, value };
}

test('batches inserted together share writes and become visible in order', async () => {
  const { store } = await openFresh();
  const writes = Array.from({ length: 100 }, (_, i) =>
    store.insertBatch([put(7, i + 1), put(i + 100)]),
  );
  expect(store.get(7)).toBeUndefined();
  await Promise.all(writes);
  expect(store.get(7)?.value).toBe(100n);
  expect(store.size).toBe(101);
  const { groups, batches } = store.stats().commits;
  expect(batches).toBe(100);
  expect(groups).toBeLessThan(5);
  await store.close();
});

test('a batch becomes visible as a whole once it is durable', async () => {
  const { fs, store } = await openFresh();
  await store.insertBatch([put(1)]);
  let seen: unknown[] = [];
  const write = store.insertBatch([put(1, 2), put(2, 2)]);
  const before = fs.crashPointCount;
  while (fs.crashPointCount === before) {
    seen.push([store.get(1)?.value, store.has(2)]);
    await Promise.resolve();
  }
  seen = [...new Set(seen.map(String))];
  await write;
  expect(seen).toEqual(['1,false']);
  expect([store.get(1)?.value, store.has(2)]).toEqual([2n, true]);
  await store.close();
});

const REFUSED: Record<string, (store: MetadataStore) => Promise<unknown>> = {
  'a failed condition': (store) => store.put(1, 1, undefined, { ifAbsent: true }),
  'a batch without updates': (store) => store.sync(),
};

test.each(Object.keys(REFUSED))(
  'callers that repeat %s at once leave turns to the event loop',
  async (what) => {
    const { store } = await openFresh();
    await store.insertBatch([put(1)]);
    const loop = { hasTurned: false };
    setImmediate(() => (loop.hasTurned = true));
    for (let tries = 0; !loop.hasTurned && tries < 1000; tries++) {
      await REFUSED[what]!(store).catch(() => undefined);
    }
    expect(loop.hasTurned).toBe(true);
    await store.close();
  },
);

test('a merge does not wait for callers that repeat refused batches at once', async () => {
  const { store } = await openFresh();
  await store.insertBatch([put(1)]);
  const merging = { isDone: false };
  let tries = 0;
  const repeat = async (): Promise<void> => {
    const refused = new WriteBatch().delete(1, { ifValue: 9 }).deleteRange({ gte: 5, lt: 6 });
    for (; !merging.isDone && tries < 1000; tries++) {
      await store.insertBatch(refused).catch(() => undefined);
    }
  };
  const callers = [repeat(), repeat()];
  await store.merge();
  merging.isDone = true;
  await Promise.all(callers);
  expect(tries).toBeLessThan(1000);
  await store.close();
});

test('the last update of a key in a batch wins', async () => {
  const { store } = await openFresh();
  await store.insertBatch([
    put(1),
    { type: 'del', key: 1 },
    put(2),
    put(2, 9),
    { type: 'del', key: 3 },
  ]);
  expect([...store.entries()].map(([key, { value }]) => [key, value])).toEqual([[2n, 9n]]);
  await store.close();
});

test('a WriteBatch can be changed and reused while it is being written', async () => {
  const { store } = await openFresh();
  const batch = new WriteBatch();
  const writes: Promise<unknown>[] = [];
  for (let i = 1; i <= 50; i++) {
    batch
      .clear()
      .put(i, i, Uint8Array.of(i))
      .put(1000 + i, i);
    writes.push(store.insertBatch(batch));
  }
  batch.put(1, 999);
  await Promise.all(writes);
  expect(store.size).toBe(100);
  for (let i = 1; i <= 50; i++) {
    expect(store.get(i)).toEqual({ value: BigInt(i), data: Uint8Array.of(i) });
  }
  await store.close();
});

test('a WriteBatch that waits for space in the queue is written as it was inserted', async () => {
  const { store } = await openFresh({ queueBatches: 1 });
  const first = store.insertBatch([put(100)]);
  const batch = new WriteBatch().put(1, 1);
  const second = store.insertBatch(batch);
  const third = store.insertBatch(batch.clear().put(2, 2));
  batch.put(3, 3);
  await Promise.all([first, second, third]);
  expect([...store.keys()]).toEqual([1n, 2n, 100n]);
  await store.close();
});

test('the data that get returns are a copy', async () => {
  const { store } = await openFresh();
  await store.insertBatch([{ type: 'put', key: 1, value: 1, data: Uint8Array.of(1, 2, 3) }]);
  store.get(1)!.data.fill(9);
  expect(store.get(1)!.data).toEqual(Uint8Array.of(1, 2, 3));
  await store.merge();
  store.get(1)!.data.fill(9);
  expect(store.get(1)!.data).toEqual(Uint8Array.of(1, 2, 3));
  await store.close();
});

test('an aborted batch is not applied if queued, and applied if in flight', async () => {
  const { fs, store } = await openFresh();
  await store.insertBatch([put(1)]);
  const inFlight = new AbortController();
  const queued = new AbortController();
  const first = store.insertBatch([put(2)], { signal: inFlight.signal });
  const callsBefore = fs.trace.length;
  const isInFlight = (): boolean =>
    fs.trace.slice(callsBefore).some(({ kind, path }) => kind === 'write' && path.endsWith('1'));
  await new Promise((resolve) => process.nextTick(resolve));
  for (let turn = 0; turn < 1000 && !isInFlight(); turn++) await Promise.resolve();
  const second = store.insertBatch([put(3)], { signal: queued.signal });
  const outcome = rejection(second);
  inFlight.abort(new Error('too late'));
  queued.abort(new Error('not wanted'));
  await first;
  const error = await outcome;
  expect(error).toBeInstanceOf(AbortedError);
  expect([error.code, error.outcome]).toEqual(['LODESTORE_ABORTED', 'not-applied']);
  expect((error.cause as Error).message).toBe('not wanted');
  expect([...store.keys()]).toEqual([1n, 2n]);
  const early = await rejection(store.insertBatch([put(4)], { signal: AbortSignal.abort() }));
  expect(early.outcome).toBe('not-applied');
  await store.close();
});

test("batches beyond the queue's bound wait unread and continue in order", async () => {
  const { store } = await openFresh({ queueBatches: 2 });
  let read = 0;
  function* updates(key: number): Generator<{ type: 'put'; key: number; value: number }> {
    read++;
    yield put(key);
  }
  const writes = Array.from({ length: 10 }, (_, i) => store.insertBatch(updates(i)));
  expect(read).toBe(2);
  expect(store.stats().queue).toMatchObject({ batches: 2, waitingBatches: 8 });
  await Promise.all(writes);
  expect(store.size).toBe(10);
  expect(store.stats().queue).toMatchObject({ batches: 0, waitingBatches: 0, bytes: 0 });
  await store.close();
});

test('iterables are read one at a time, and batches behind them do not wait', async () => {
  const { store } = await openFresh();
  const read: number[] = [];
  function* updates(first: number): Generator<{ type: 'put'; key: number; value: number }> {
    for (let key = first; key < first + 300; key++) {
      if (read.at(-1) !== first) read.push(first);
      yield put(key);
    }
    if (first === 1000) throw new Error('no more');
  }
  const writes = [0, 1000, 2000].map((first) => store.insertBatch(updates(first)));
  writes.push(store.insertBatch(new WriteBatch().put(5000, 1)), store.insertBatch(updates(3000)));
  const settled = await Promise.allSettled(writes);
  expect(read).toEqual([0, 1000, 2000, 3000]);
  expect(settled.map(({ status }) => status === 'fulfilled')).toEqual([
    true,
    false,
    true,
    true,
    true,
  ]);
  expect(store.size).toBe(901);
  expect(store.stats().queue).toEqual({ batches: 0, bytes: 0, waitingBatches: 0 });
  await store.close();
});

test('a log is rotated at its maximum length: it is sealed, and the next one follows', async () => {
  const { fs, store } = await openFresh({ rotateBytes: 64 * 1024, mergeBytes: 1e9 });
  for (let i = 0; i < 100; i++) {
    const data = crypto.getRandomValues(new Uint8Array(5000));
    await store.insertBatch([{ type: 'put', key: i, value: 1, data }]);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(store.stats().logs.count).toBeGreaterThan(1);
  await store.close();
  const again = await openOn(fs, '/s');
  expect(again.size).toBe(100);
  expect(again.recovery.logs).toBeGreaterThan(1);
  await again.close();
});

for (const code of ['ENOSPC', 'EDQUOT'] as const) {
  for (const mode of ['once', 'short'] as const) {
    test(`${code} (${mode}): the batch is not applied, and writes continue when there is space`, async () => {
      const { fs, store } = await openFresh();
      await store.insertBatch([put(1)]);
      await new Promise((resolve) => setImmediate(resolve));
      fs.faults.add({ call: 'write', error: code, mode, path: '/s/log_0000000000000001' });
      const error = await rejection(store.insertBatch([put(2)]));
      fs.faults.clear();
      expect(error).toBeInstanceOf(StoreFullError);
      expect(error.outcome).toBe('not-applied');
      expect((error.cause as { code: string }).code).toBe(code);
      expect(store.has(2)).toBe(false);
      expect(store.stats().state).toBe('open');
      await store.insertBatch([put(3)]);
      for (const crashed of [fs.minimalCrash(), fs.kill()]) {
        const again = await openOn(crashed, '/s');
        expect([...again.keys()]).toEqual([1n, 3n]);
        await again.close();
      }
      await store.close();
    });
  }
}

test('on a disk that stays full, every write is refused, and reads and the records stay', async () => {
  const fs = new CrashFs({ capacityBytes: 600_000 });
  const store = await openOn(fs, '/s', { mergeBytes: 1e9 });
  const data = new Uint8Array(20_000);
  let stored = 0;
  let error: StoreError | undefined;
  while (error === undefined && stored < 200) {
    crypto.getRandomValues(data);
    error = await store.insertBatch([{ type: 'put', key: stored, value: 1, data }]).then(
      () => undefined,
      (caught: unknown) => caught as StoreError,
    );
    if (error === undefined) stored++;
  }
  expect(error).toBeInstanceOf(StoreFullError);
  expect(error?.outcome).toBe('not-applied');
  expect(store.size).toBe(stored);
  await store.insertBatch([put(1_000_000)]).catch(() => undefined);
  await store.close();
  const again = await openOn(fs.minimalCrash(), '/s');
  expect(again.size).toBeGreaterThanOrEqual(stored);
  expect(again.get(stored - 1)?.data.length).toBe(20_000);
  await again.close();
});

test('a failed write poisons the store: unknown in flight, not applied after it, one cause', async () => {
  const { fs, store } = await openFresh();
  const poisonings: Error[] = [];
  store.on('poisoned', (error) => poisonings.push(error));
  await store.insertBatch([put(1)]);
  await new Promise((resolve) => setImmediate(resolve));
  fs.faults.add({ call: 'write', error: 'EIO', path: '/s/log_0000000000000001' });
  const first = rejection(store.insertBatch([put(2)]));
  await new Promise((resolve) => process.nextTick(resolve));
  const second = rejection(store.insertBatch([put(3)]));
  const errors = [await first, await second, await rejection(store.insertBatch([put(4)]))];
  for (const error of errors) {
    expect(error).toBeInstanceOf(StorePoisonedError);
    expect((error.cause as { code: string }).code).toBe('EIO');
  }
  expect(errors.map((error) => error.outcome)).toEqual(['unknown', 'not-applied', 'not-applied']);
  expect(poisonings).toHaveLength(1);
  expect(store.stats().state).toBe('poisoned');
  expect([...store.keys()]).toEqual([1n]);
  expect((await rejection(store.merge())).code).toBe('LODESTORE_POISONED');
  await store.close();
  const again = await openOn(fs, '/s');
  expect(again.has(1)).toBe(true);
  expect([again.has(3), again.has(4)]).toEqual([false, false]);
  await again.close();
});

test('misuse is refused, is not applied, and affects no other batch', async () => {
  const { store } = await openFresh();
  const good = store.insertBatch([put(1)]);
  const bad: [unknown, unknown, RegExp][] = [
    [[put(2, 0)], RangeError, /value must not be 0/],
    [[put(-1)], RangeError, /key must be/],
    [[{ type: 'put', key: 2n ** 64n, value: 1 }], RangeError, /key must be/],
    [[{ type: 'put', key: 1.5, value: 1 }], RangeError, /key must be/],
    [[{ type: 'put', key: 1, value: 2n ** 64n }], RangeError, /value must be/],
    [[{ type: 'put', key: '1', value: 1 }], TypeError, /key must be/],
    [[{ type: 'put', key: 1, value: 1, data: 'text' }], TypeError, /data must be a Uint8Array/],
    [
      [{ type: 'set', key: 1, value: 1 }],
      TypeError,
      /type must be 'put', 'delete' or 'deleteRange'/,
    ],
    [[undefined], TypeError, /an update must be/],
    [42, TypeError, /a batch must be/],
    ['abc', TypeError, /a batch must be/],
  ];
  for (const [batch, kind, message] of bad) {
    const error = await rejection(store.insertBatch(batch as never));
    expect(error).toBeInstanceOf(kind);
    expect(error.message).toMatch(message);
    if (typeof batch === 'object') expect(error.outcome).toBe('not-applied');
  }
  await good;
  expect([...store.keys()]).toEqual([1n]);
  expect(() => store.get('1' as never)).toThrow(TypeError);
  expect(() => store.has(-1n)).toThrow(RangeError);
  expect(() => store.entries({ gte: -1 })).toThrow(RangeError);
  await store.close();
});

test('a batch over the limit is refused whole', async () => {
  const { store } = await openFresh();
  const batch = new WriteBatch();
  const data = new Uint8Array(16 * 1024 * 1024 - 20);
  batch.put(1, 1, data).put(2, 1, data);
  expect(() => batch.put(3, 1)).toThrow(BatchTooLargeError);
  expect(batch.size).toBe(2);
  const tooLarge = [1, 2, 3].map((key) => ({ type: 'put' as const, key, value: 1, data }));
  const error = await rejection(store.insertBatch(tooLarge));
  expect(error).toBeInstanceOf(BatchTooLargeError);
  expect(error.outcome).toBe('not-applied');
  expect(store.size).toBe(0);
  await store.insertBatch(batch);
  expect(store.size).toBe(2);
  await store.close();
});

test('an empty batch is a barrier: it settles after earlier batches', async () => {
  const { store } = await openFresh();
  const order: string[] = [];
  await Promise.all([
    store.insertBatch([put(1)]).then(() => order.push('first')),
    store.insertBatch([]).then(() => order.push('empty')),
    store.insertBatch(new WriteBatch()).then(() => order.push('empty too')),
  ]);
  expect(order).toEqual(['first', 'empty', 'empty too']);
  expect(store.stats().lastSequence).toBe(1n);
  await store.close();
});

test('misuse is rejected as not applied before anything is queued', async () => {
  const { store } = await openFresh();
  const misuses = [
    () => store.insertBatch({} as never),
    () => store.insertBatch(undefined as never),
    () => store.insertBatch('abc' as never),
    () => store.insertBatch([], null as never),
    () => store.insertBatch([], { signal: {} as never }),
    () => store.insertBatch([], { signal: null as never }),
    () => store.insertBatch([], { durability: 'x' as never }),
    () => store.insertBatch([{ type: 'put', key: 1, value: 0 }]),
  ];
  for (const misuse of misuses) {
    const error: Error & { outcome?: unknown } = await rejection(misuse());
    expect([TypeError, RangeError]).toContain(error.constructor);
    expect(error.outcome).toBe('not-applied');
  }
  expect(store.stats().queue).toEqual({ bytes: 0, batches: 0, waitingBatches: 0 });
  await store.close();
});

test('a signal on many batches, feeds and reads has one listener', async () => {
  const { store } = await openFresh();
  const { signal } = new AbortController();
  const listeners = (): number => getEventListeners(signal, 'abort').length;
  const writes = Array.from({ length: 20 }, (_, i) => store.insertBatch([put(i)], { signal }));
  const feeds = Array.from({ length: 20 }, () => store.changes({ signal }));
  expect(listeners()).toBe(1);
  await Promise.all(writes);
  for (const feed of feeds) await feed.return?.();
  expect(listeners()).toBe(0);
  await store.close();
});

test('a log at its maximum length is replaced by the next one, which takes the group', async () => {
  const { fs, store } = await openFresh();
  await store.insertBatch([put(1)]);
  await store.insertBatch([put(2)], { durability: 'deferred' });
  await new Promise((resolve) => setImmediate(resolve));
  fs.faults.add({ call: 'write', error: 'EFBIG', mode: 'short', appliedBytes: 20 });
  const rotated = store.stats().logs.rotations;
  await store.insertBatch([put(3)]);
  expect(store.stats().logs.rotations).toBe(rotated + 1);
  fs.faults.add({ call: 'write', error: 'EFBIG', mode: 'sticky' });
  const error = await rejection(store.insertBatch([put(4)]));
  expect(error).toBeInstanceOf(StoreFullError);
  expect(error.outcome).toBe('not-applied');
  fs.faults.clear();
  await store.insertBatch([put(5)]);
  await store.merge();
  await store.insertBatch([put(6)]);
  await store.close();
  const reopened = await openOn(fs, '/s');
  expect([...reopened.keys()]).toEqual([1n, 2n, 3n, 5n, 6n]);
  await reopened.close();
});
