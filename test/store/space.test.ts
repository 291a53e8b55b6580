import { expect, test, vi } from 'vitest';
import {
  MetadataStore,
  StoreFullError,
  type OpenOptions,
  type SpaceFigures,
  type Update,
} from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { randomWords } from '../support/random.ts';

// Looked up at call time, so that a test can replace it.
vi.mock('../../src/base/timers.ts', async (original) => ({
  ...(await original<typeof import('../../src/base/timers.ts')>()),
  monotonicMs: () => performance.now(),
}));

const MIB = 1024 * 1024;
const MAX_BYTES = 4 * MIB;

/** Bytes of all files of the store on the disk. */
function bytesOn(fs: CrashFs): number {
  let sum = 0;
  for (const [path, content] of fs.files()) {
    if (/(?:log_|snapshot_)[^/]*$/.test(path)) sum += content.length;
  }
  return sum;
}

const word = randomWords(7);

/** A record with incompressible data. */
function put(key: number, lengthBytes = 4_000): Update {
  const words = Uint32Array.from({ length: lengthBytes / 4 }, word);
  return { type: 'put', key, value: key + 1, data: new Uint8Array(words.buffer) };
}

interface Watched {
  readonly fs: CrashFs;
  readonly store: MetadataStore;
  readonly events: string[];
  /** The maximum bytes of files at any sync and at any call of `watch`. */
  readonly most: () => number;
}

async function openWatched(
  options: OpenOptions = { maxBytes: MAX_BYTES },
  fs?: CrashFs,
): Promise<Watched> {
  let most = 0;
  const watch = (machine: CrashFs): void => {
    most = Math.max(most, bytesOn(machine));
  };
  const machine = fs ?? new CrashFs({ trace: false, onCrashPoint: (point) => watch(point.fs) });
  const store = await openOn(machine, '/s', options);
  const events: string[] = [];
  store.on('lowSpace', ({ state }: SpaceFigures) => events.push(`low ${state}`));
  store.on('spaceRecovered', ({ state }: SpaceFigures) => events.push(`recovered ${state}`));
  return { fs: machine, store, events, most: () => most };
}

/** Each crossing is reported once. */
function expectAlternating(events: readonly string[]): void {
  const expected = events.map((_, at) => (at % 2 === 0 ? 'low low' : 'recovered ample'));
  expect(events).toEqual(expected);
}

/** The rejection; undefined if the batch is applied. */
async function refusalOf(promise: Promise<unknown>): Promise<StoreFullError | undefined> {
  return promise.then(
    () => undefined,
    (error: unknown) => {
      expect(error).toBeInstanceOf(StoreFullError);
      return error as StoreFullError;
    },
  );
}

/** Puts records one by one until one is refused. Returns the number of accepted puts. */
async function fill(store: MetadataStore, from = 0): Promise<number> {
  for (let key = from; ; key++) {
    if ((await refusalOf(store.insertBatch([put(key)]))) !== undefined) return key - from;
    if (key > 5_000) throw new Error('the store does not fill');
  }
}

/** Waits until no merge runs: refused puts start merges. */
async function settled(store: MetadataStore): Promise<void> {
  while (store.stats().merges.state === 'running') await turn();
}

function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** Fills repeatedly until merges free nothing more. */
async function fillUp(store: MetadataStore): Promise<number> {
  let records = 0;
  for (;;) {
    const added = await fill(store, records);
    if (added === 0) return records;
    records += added;
    await store.merge();
  }
}

test('files never exceed maxBytes, and a refusal says how much space there is', async () => {
  const { fs, store, most, events } = await openWatched();
  const records = await fillUp(store);
  expect(records).toBeGreaterThan(200);
  const error = await refusalOf(store.insertBatch([put(records)]));
  expect(error).toMatchObject({
    code: 'LODESTORE_FULL',
    outcome: 'not-applied',
    limitBytes: MAX_BYTES,
  });
  expect(error!.usedBytes).toBeGreaterThan(0.6 * MAX_BYTES);
  expect(error!.message).toContain('deletes are still accepted');
  const { space } = store.stats();
  expect(space).toMatchObject({ state: 'full', maxBytes: MAX_BYTES, reserveBytes: MIB });
  expect(space.usedBytes).toBeGreaterThanOrEqual(bytesOn(fs));
  expect(space.usedBytes - bytesOn(fs)).toBeLessThanOrEqual(256 * 1024);
  expect(most()).toBeLessThanOrEqual(MAX_BYTES);
  expect(store.size).toBe(records);
  expect(events.at(-1)).toBe('low low');
  expectAlternating(events);
  await store.close();
});

test('deletes are accepted where puts are not, and make space for puts by themselves', async () => {
  const { store, most, events } = await openWatched();
  const records = await fillUp(store);
  events.length = 0;
  for (let key = 0; key < records; key += 2) await store.insertBatch([{ type: 'del', key }]);
  expect(store.size).toBe(Math.floor(records / 2));
  expect(events).toEqual([]);
  // Refused puts have started a merge recently, so later deletes are merged after a while.
  const clock = vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 10_000);
  await refusalOf(store.insertBatch([put(records)]));
  clock.mockRestore();
  await settled(store);
  expect(events).toEqual(['recovered ample']);
  await store.insertBatch([put(records)]);
  expect(store.stats().space.state).toBe('ample');
  expect(await fill(store, records + 1)).toBeGreaterThan(50);
  expect(most()).toBeLessThanOrEqual(MAX_BYTES);
  expectAlternating(['low low', ...events]);
  await store.close();
});

test('in one group, puts are refused and deletes written; a batch with both counts as a put', async () => {
  const { store } = await openWatched();
  const records = await fillUp(store);
  const groups = store.stats().commits.groups;
  const results = await Promise.all([
    refusalOf(store.insertBatch([put(records)])),
    refusalOf(store.insertBatch([{ type: 'del', key: 1 }])),
    refusalOf(store.insertBatch([{ type: 'del', key: 2 }, put(records)])),
    refusalOf(store.insertBatch([])),
    refusalOf(
      store.insertBatch([
        { type: 'del', key: 3, ifValue: 4 },
        { type: 'del', key: 4 },
      ]),
    ),
  ]);
  expect(results.map((error) => error?.outcome)).toEqual([
    'not-applied',
    undefined,
    'not-applied',
    undefined,
    undefined,
  ]);
  expect([1, 2, 3, 4].map((key) => store.has(key))).toEqual([false, true, false, false]);
  expect(store.stats().commits.groups - groups).toBeLessThanOrEqual(2);
  await store.close();
});

test('where space is scarce, merges start automatically before anything is refused', async () => {
  const { store } = await openWatched();
  await fill(store);
  expect(store.stats().merges.completed).toBeGreaterThan(0);
  await settled(store);
  await store.close();
});

test('zeros count from the start of their reservation', async () => {
  let checked = 0;
  const watched: { store?: MetadataStore } = {};
  const fs = new CrashFs({
    trace: false,
    onCrashPoint: ({ fs: machine, path }) => {
      const stats = watched.store?.stats();
      if (stats?.merges.state !== 'idle' || !path.endsWith('1')) return;
      checked++;
      expect(stats.space.usedBytes).toBeGreaterThanOrEqual(bytesOn(machine));
    },
  });
  const store = await openOn(fs, '/s', { maxBytes: 64 * MIB, mergeBytes: 64 * MIB });
  watched.store = store;
  for (let key = 0; key < 500; key++) await store.insertBatch([put(key)]);
  expect(checked).toBeGreaterThan(500);
  await store.close();
});

test('batches of one group share the remaining space', async () => {
  const { store, most } = await openWatched();
  const limitBytes = MAX_BYTES - MIB;
  const { usedBytes, mergeBytes } = store.stats().space;
  // A row is counted twice: once in the log, once in the next snapshot.
  const half = 4 * Math.floor((0.6 * (limitBytes - usedBytes - mergeBytes)) / 8);
  const results = await Promise.all(
    [1, 2].map((key) => refusalOf(store.insertBatch([put(key, half)]))),
  );
  expect(results.map((error) => error === undefined)).toEqual([true, false]);
  for (let round = 0; round < 10; round++) {
    const burst = Array.from({ length: 100 }, (_, at) => put(100 * round + at));
    await Promise.all(burst.map((one) => refusalOf(store.insertBatch([one]))));
    await turn();
  }
  expect(most()).toBeLessThanOrEqual(MAX_BYTES);
  await store.close();
});

test('the warning ends at four fifths, not at the level where it started', async () => {
  const { store, events } = await openWatched();
  const records = await fillUp(store);
  events.length = 0;
  let steps = 0;
  for (let key = 0; ; key += 10) {
    expect(key).toBeLessThan(records);
    const deletes = Array.from({ length: 10 }, (_, at) => ({
      type: 'del' as const,
      key: key + at,
    }));
    await store.insertBatch(deletes);
    await store.merge();
    await turn();
    const { usedBytes, mergeBytes, state } = store.stats().space;
    if (usedBytes + mergeBytes < 0.8 * (MAX_BYTES - MIB)) break;
    expect([state === 'ample', events]).toEqual([false, []]);
    steps++;
  }
  expect(steps).toBeGreaterThan(2);
  expect(events).toEqual(['recovered ample']);
  await store.close();
});

test('retained merged logs count, including future ones', async () => {
  const { fs, store, most } = await openWatched({
    maxBytes: MAX_BYTES,
    retain: { bytes: MIB },
  });
  const records = await fillUp(store);
  expect(records).toBeLessThan(260);
  expect(store.stats().space.usedBytes).toBeGreaterThanOrEqual(bytesOn(fs));
  expect(most()).toBeLessThanOrEqual(MAX_BYTES);
  await store.close();
  const wrong = { maxBytes: MAX_BYTES, retain: { bytes: 2 * MIB + 1 } };
  await expect(openOn(fs, '/s', wrong)).rejects.toThrow(/at most half of options.maxBytes/);
});

test('a batch too large for the remaining space is refused, and smaller ones continue without a warning', async () => {
  const { store, events } = await openWatched();
  expect(await refusalOf(store.insertBatch([put(1, 2 * MIB)]))).toBeDefined();
  await store.insertBatch([put(2)]);
  expect(store.stats().space.state).toBe('ample');
  expect(events).toEqual([]);
  await store.close();
});

test('a condition is judged without the batches that lack space', async () => {
  const { store } = await openWatched();
  const records = await fillUp(store);
  const [refused, kept] = await Promise.allSettled([
    store.insertBatch([{ type: 'put', key: 1, value: 999, data: new Uint8Array(MIB) }]),
    store.insertBatch([{ type: 'del', key: 1, ifValue: 2 }]),
  ]);
  expect(refused.status).toBe('rejected');
  expect(kept.status).toBe('fulfilled');
  expect(store.size).toBe(records - 1);
  await store.close();
});

test('a store over its limit accepts deletes, and puts when it is small enough again', async () => {
  const { fs, store } = await openWatched({});
  for (let key = 0; key < 1_500; key += 50) {
    await store.insertBatch(Array.from({ length: 50 }, (_, at) => put(key + at)));
  }
  await store.close();
  const small = await openWatched({ maxBytes: MAX_BYTES }, fs);
  expect(small.store.stats().space.state).toBe('low');
  expect(await refusalOf(small.store.insertBatch([put(1, 8)]))).toBeDefined();
  for (let key = 0; key < 1_400; key += 50) {
    const deletes = Array.from({ length: 50 }, (_, at) => ({
      type: 'del' as const,
      key: key + at,
    }));
    await small.store.insertBatch(deletes);
  }
  await small.store.merge();
  await small.store.insertBatch([put(1)]);
  expect(small.store.size).toBe(101);
  expect(small.events).toEqual(['recovered ample']);
  await small.store.close();
});

test('the reserve for deletes can be used up, and a merge restores it', async () => {
  const { fs, store, most } = await openWatched();
  const records = await fillUp(store);
  // Merges fail, so nothing is freed.
  fs.faults.add({ call: 'open', error: 'EIO', mode: 'sticky', path: /\.tmp$/ });
  const deletes = Array.from({ length: 5_000 }, (_, at) => ({
    type: 'del' as const,
    key: 2 ** 40 + word() * 1024 + at,
  }));
  let taken = 0;
  while ((await refusalOf(store.insertBatch(deletes))) === undefined) {
    taken++;
    expect(taken).toBeLessThan(100);
  }
  expect(taken).toBeGreaterThan(3);
  expect(most()).toBeLessThanOrEqual(MAX_BYTES);
  fs.faults.clear();
  await store.merge();
  expect(await refusalOf(store.insertBatch(deletes))).toBeUndefined();
  expect(store.size).toBe(records);
  await store.close();
});

test('options out of range are refused, and by default there is no limit', async () => {
  const fs = new CrashFs();
  await expect(openOn(fs, '/s', { maxBytes: MIB })).rejects.toThrow(/maxBytes must be an integer/);
  await expect(openOn(fs, '/s', { reserveFileBytes: -1 })).rejects.toThrow(/reserveFileBytes/);
  const store = await openOn(fs, '/s');
  await store.insertBatch([put(1)]);
  expect(store.stats().space).toMatchObject({
    maxBytes: undefined,
    reserveBytes: 0,
    reserveFile: 'none',
    state: 'ample',
  });
  expect(store.stats().space.usedBytes).toBeGreaterThanOrEqual(bytesOn(fs));
  await store.close();
});

test('a read-only store reports the bytes that it read and no figures of the disk', async () => {
  const fs = new CrashFs({ trace: false, capacityBytes: 64 * MIB });
  const store = await openOn(fs, '/s');
  await store.insertBatch([put(1)]);
  await store.merge();
  await store.insertBatch([put(2)]);
  await store.close();
  // The options about space are for writers.
  const reader = await openOn(fs, '/s', {
    readOnly: true,
    maxBytes: MAX_BYTES,
    reserveFileBytes: MIB,
  });
  const { space, logs, merges } = reader.stats();
  expect(space).toEqual({
    usedBytes: logs.bytes + merges.snapshotBytes,
    mergeBytes: 0,
    maxBytes: undefined,
    reserveBytes: 0,
    reserveFile: 'none',
    putBytes: undefined,
    diskFreeBytes: undefined,
    state: 'ample',
  });
  expect(logs.bytes).toBeGreaterThan(4_000);
  expect(merges.snapshotBytes).toBeGreaterThan(4_000);
  await reader.close();
  expect(fs.files().has('/s/lodestore.reserve')).toBe(false);
});
