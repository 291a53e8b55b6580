import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  CorruptionError,
  MetadataStore,
  StoreClosedError,
  StoreFullError,
  WriteBatch,
  type StoreError,
} from '../../src/index.ts';
import { logName, snapshotName } from '../../src/format/file-name.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { dumpOfStore } from '../support/dump.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { programPath } from '../support/program.ts';

vi.mock('../../src/base/timers.ts', async (original) => {
  const { fakeable } = await import('../support/fakeable-timers.ts');
  return fakeable(await original());
});

const NO_MERGES = { mergeBytes: 2 ** 40 };

afterEach(() => {
  vi.useRealTimers();
});

async function rejection(promise: Promise<unknown>): Promise<StoreError> {
  return promise.then(
    () => {
      throw new Error('the promise was expected to reject');
    },
    (error: unknown) => error as StoreError,
  );
}

function batchOf(from: number, to: number, value: number, step = 1): WriteBatch {
  const batch = new WriteBatch();
  for (let key = from; key < to; key += step) batch.put(key, value);
  return batch;
}

function deletesOf(from: number, to: number): WriteBatch {
  const batch = new WriteBatch();
  for (let key = from; key < to; key++) batch.delete(key);
  return batch;
}

/** Incompressible bytes in a separate record. */
function noisy(key: number, lengthBytes: number): WriteBatch {
  const data = new Uint8Array(lengthBytes);
  crypto.getRandomValues(data.subarray(0, Math.min(lengthBytes, 65_536)));
  for (let at = 65_536; at < lengthBytes; at += 65_536) {
    crypto.getRandomValues(data.subarray(at, Math.min(at + 65_536, lengthBytes)));
  }
  return new WriteBatch().put(key, 1, data);
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function namesIn(fs: CrashFs): string[] {
  return [...fs.files().keys()]
    .map((path) => path.slice(3))
    .filter((name) => /^(log|snapshot)/.test(name))
    .sort();
}

/** Counts of the chunks that one merge copies and encodes. */
async function mergedChunks(store: MetadataStore): Promise<{ copied: number; encoded: number }> {
  const before = store.stats().merges;
  await store.merge();
  const after = store.stats().merges;
  return {
    copied: after.copiedChunks - before.copiedChunks,
    encoded: after.encodedChunks - before.encodedChunks,
  };
}

describe.each([
  [
    'with threads',
    () => temporaryDirectory().then((directory) => MetadataStore.open(directory, NO_MERGES)),
  ],
  ['on CrashFs', () => openOn(new CrashFs({ trace: false }), '/s', NO_MERGES)],
] as const)('what a merge writes (%s)', (_where, open) => {
  test('an untouched chunk is copied, and only those with updates are encoded', async () => {
    const store = await open();
    await store.insertBatch(batchOf(0, 40_960, 1));
    expect(await mergedChunks(store)).toEqual({ copied: 0, encoded: 5 });
    await store.insertBatch(batchOf(20_000, 20_001, 9));
    // A full chunk is split when it may grow.
    expect(await mergedChunks(store)).toEqual({ copied: 4, encoded: 2 });
    await store.insertBatch(new WriteBatch().put(20_000, 10));
    expect(await mergedChunks(store)).toEqual({ copied: 5, encoded: 1 });
    await store.insertBatch(new WriteBatch().put(20_000, 9).put(5, 7).delete(40_000));
    expect((await mergedChunks(store)).copied).toBe(3);
    expect([store.get(5)?.value, store.get(20_000)?.value]).toEqual([7n, 9n]);
    expect([store.has(40_000), store.size]).toEqual([false, 40_959]);
    await store.close();
  });

  test('ascending ids rewrite only the last chunk', async () => {
    const store = await open();
    await store.insertBatch(batchOf(0, 41_000, 1));
    await store.merge();
    for (let round = 0; round < 3; round++) {
      const from = 41_000 + 1000 * round;
      await store.insertBatch(batchOf(from, from + 1000, 2));
      expect(await mergedChunks(store)).toEqual({ copied: 5, encoded: 1 });
    }
    expect(store.size).toBe(44_000);
    await store.close();
  });

  test('deletes reach an empty store, and puts refill it', async () => {
    const store = await open();
    await store.insertBatch(batchOf(0, 20_000, 1));
    await store.merge();
    await store.insertBatch(deletesOf(0, 20_000));
    expect(await mergedChunks(store)).toEqual({ copied: 0, encoded: 0 });
    expect([store.size, [...store.keys()].length]).toEqual([0, 0]);
    await store.insertBatch(batchOf(3, 5, 1));
    await store.merge();
    expect([...store.keys()]).toEqual([3n, 4n]);
    await store.close();
  });

  test('small chunks are combined with the next ones', async () => {
    const store = await open();
    await store.insertBatch(batchOf(0, 40_960, 1));
    await store.merge();
    await store.insertBatch(deletesOf(100, 8192));
    expect(await mergedChunks(store)).toEqual({ copied: 3, encoded: 2 });
    await store.insertBatch(deletesOf(200, 40_860));
    const { copied, encoded } = await mergedChunks(store);
    expect([copied, encoded]).toEqual([0, 1]);
    expect(store.size).toBe(200);
    await store.close();
  });
});

test('all records are correct after each of many merges, and after a reopen', async () => {
  const directory = await temporaryDirectory();
  const model = new Map<bigint, bigint>();
  let state = 1;
  const random = (bound: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state % bound;
  };
  for (let round = 0; round < 4; round++) {
    const store = await MetadataStore.open(directory, NO_MERGES);
    for (let merge = 0; merge < 2; merge++) {
      const batch = new WriteBatch();
      for (let i = 0; i < 3000; i++) {
        const key = random(30_000);
        if (random(3) === 0) {
          batch.delete(key);
          model.delete(BigInt(key));
        } else {
          const value = 1 + random(1000);
          batch.put(key, value, new Uint8Array(random(20)));
          model.set(BigInt(key), BigInt(value));
        }
      }
      await store.insertBatch(batch);
      await store.merge();
      const sorted = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
      expect([...store.entries()].map(([key, { value }]) => [key, value])).toEqual(sorted);
    }
    await store.close();
  }
  const again = await MetadataStore.open(directory);
  expect(again.size).toBe(model.size);
  expect(again.recovery.logs).toBe(0);
  await again.close();
});

test('a view taken before a merge stays correct during and after it', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, NO_MERGES);
  await store.insertBatch(batchOf(0, 30_000, 1));
  await store.merge();
  await store.insertBatch(batchOf(10_000, 20_000, 2));
  const early: IterableIterator<[bigint, { value: bigint }]> = store.entries();
  const late: typeof early = store.entries();
  const reverse: typeof early = store.entries({ reverse: true });
  const seen: string[] = [];
  const step = (view: typeof early): void => {
    for (let i = 0; i < 500; i++) {
      const { value, done } = view.next();
      if (done === true) return;
      seen.push(`${value[0]} ${value[1].value}`);
    }
  };
  const merging = store.merge();
  await store.insertBatch(batchOf(0, 30_000, 3, 7));
  await store.insertBatch(deletesOf(5_000, 6_000));
  for (let i = 0; i < 20; i++) {
    step(early);
    await turn();
  }
  await merging;
  for (let i = 0; i < 60; i++) step(early);
  const expected = Array.from(
    { length: 30_000 },
    (_, key) => `${key} ${key >= 10_000 && key < 20_000 ? 2 : 1}`,
  );
  expect(seen).toEqual(expected);
  const texts = (view: typeof early): string[] =>
    [...view].map(([key, { value }]) => `${key} ${value}`);
  expect(texts(late)).toEqual(expected);
  expect(texts(reverse)).toEqual(expected.toReversed());
  expect(store.get(0)?.value).toBe(3n);
  expect(store.size).toBe(29_000);
  await store.close();
});

test('writes during a merge are acknowledged, kept, and part of the next merge', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, NO_MERGES);
  await store.insertBatch(batchOf(0, 100_000, 1));
  const merging = store.merge();
  let written = 0;
  while (store.stats().merges.completed === 0)
    await store.insertBatch(batchOf(200_000 + written, 200_001 + written++, 5));
  await merging;
  expect(written).toBeGreaterThan(0);
  expect(store.size).toBe(100_000 + written);
  const dump = dumpOfStore(store);
  await store.close();
  const again = await MetadataStore.open(directory, NO_MERGES);
  expect(dumpOfStore(again)).toBe(dump);
  await again.merge();
  expect(dumpOfStore(again)).toBe(dump);
  await again.close();
});

describe('one merge at a time', () => {
  test('merge() during a merge includes later batches, in the order of the calls', async () => {
    const order: string[] = [];
    const later: Promise<unknown>[] = [];
    const fs = new CrashFs({
      trace: false,
      onCrashPoint: ({ path }) => {
        if (!/1\.\w+\.tmp$/.test(path) || later.length > 0) return;
        const written = store.insertBatch(batchOf(10, 20, 1));
        const second = written.then(() => store.merge()).then(() => order.push('second'));
        const third = written.then(() => store.merge()).then(() => order.push('third'));
        later.push(second, third);
      },
    });
    const store = await openOn(fs, '/s', NO_MERGES);
    await store.insertBatch(batchOf(0, 10, 1));
    await store.merge().then(() => order.push('first'));
    expect(later).toHaveLength(2);
    await Promise.all(later);
    expect(order).toEqual(['first', 'second', 'third']);
    expect(store.stats().merges).toMatchObject({ state: 'idle', completed: 2, failed: 0 });
    expect(store.stats().logs.bytes).toBe(0);
    await store.close();
    const again = await openOn(fs, '/s');
    expect(again.size).toBe(20);
    await again.close();
  });

  test('a merge of nothing does nothing', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', NO_MERGES);
    const before = namesIn(fs);
    await Promise.all([store.merge(), store.merge()]);
    expect(store.stats().merges.completed).toBe(0);
    expect(namesIn(fs).filter((name) => name.startsWith('snap'))).toEqual(
      before.filter((name) => name.startsWith('snap')),
    );
    await store.close();
  });
});

test('a merge starts automatically when the logs are larger than the snapshot', async () => {
  const fs = new CrashFs({ trace: false });
  const store = await openOn(fs, '/s', { mergeBytes: 64 * 1024 });
  const sizes: number[] = [];
  store.on('merged', ({ snapshotBytes }) => sizes.push(snapshotBytes));
  for (let i = 0; i < 40; i++) {
    await store.insertBatch(noisy(i, 20_000));
    await turn();
  }
  expect(sizes.length).toBeGreaterThan(1);
  // Each merge starts when the logs outgrow the last snapshot.
  expect(sizes.length).toBeLessThan(7);
  expect(store.stats().merges.completed).toBe(sizes.length);
  await store.close();
});

test('more than 64 logs are merged, however small', async () => {
  const fs = new CrashFs({ trace: false });
  let merged = 0;
  for (let i = 0; i < 66; i++) {
    const store = await openOn(fs, '/s', NO_MERGES);
    store.on('merged', () => merged++);
    expect(store.stats().merges.state, `open ${i}`).toBe(i === 65 ? 'running' : 'idle');
    await store.insertBatch(batchOf(i, i + 1, 1));
    if (i === 65) while (store.stats().merges.completed === 0) await turn();
    await store.close();
  }
  expect(merged).toBe(1);
  const again = await openOn(fs, '/s');
  expect(again.size).toBe(66);
  expect(again.recovery.logs).toBeLessThan(2);
  await again.close();
});

describe('close during a merge', () => {
  test('at any moment makes merge() reject, leaves no temporary file, and loses nothing', async () => {
    let completed = 0;
    let refused = 0;
    for (let turns = 0; completed < 3 && turns < 5000; turns += 1 + (turns >> 3)) {
      const fs = new CrashFs({ trace: false });
      const store = await openOn(fs, '/s', NO_MERGES);
      await store.insertBatch(batchOf(0, 20, 1));
      const outcome = store.merge().then(
        () => 'merged',
        (error: unknown) => error,
      );
      const queued = store.merge().catch((error: unknown) => error);
      await new Promise((resolve) => process.nextTick(resolve));
      for (let i = 0; i < turns; i++) await Promise.resolve();
      await store.close();
      const end = await outcome;
      if (end === 'merged') completed++;
      else {
        refused++;
        expect(end).toBeInstanceOf(StoreClosedError);
      }
      const last = await queued;
      if (end !== 'merged') expect(last).toBeInstanceOf(StoreClosedError);
      const names = namesIn(fs);
      expect(names.filter((name) => name.endsWith('.tmp'))).toEqual([]);
      if (end === 'merged') expect(names).toContain(snapshotName(1));
      for (const crashed of [fs, fs.minimalCrash()]) {
        const again = await openOn(crashed, '/s', NO_MERGES);
        expect(again.size, `after ${turns} turns`).toBe(20);
        await again.close();
      }
    }
    expect([completed, refused > 10]).toEqual([3, true]);
  });

  test('with threads lets the directory be opened at once', async () => {
    const directory = await temporaryDirectory();
    for (let round = 1; round <= 5; round++) {
      const store = await MetadataStore.open(directory, NO_MERGES);
      await store.insertBatch(batchOf(0, 50_000, round));
      const merging = store.merge().catch((error: unknown) => error);
      for (let i = 0; i < 4 * round; i++) await turn();
      await store.close();
      await merging;
      expect(readdirSync(directory).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    }
    const again = await MetadataStore.open(directory);
    expect([again.size, again.get(49_999)?.value]).toEqual([50_000, 5n]);
    await again.close();
  });

  test('an exit of the process during a merge loses nothing, and the temporary file is removed later', async () => {
    const directory = await temporaryDirectory();
    const source = `
      import { readdirSync } from 'node:fs';
      import { MetadataStore, WriteBatch } from ${JSON.stringify(programPath('lodestore'))};
      const store = await MetadataStore.open(process.argv[1], { mergeBytes: 2 ** 40 });
      const batch = new WriteBatch();
      for (let key = 0; key < 200_000; key++) batch.put(key, 1, Buffer.from('record ' + key));
      await store.insertBatch(batch);
      void store.merge();
      const isMerging = () => readdirSync(process.argv[1]).some((name) => name.endsWith('.tmp'));
      setInterval(() => isMerging() && process.exit(7), 1);`;
    const args = ['--input-type=module', '--eval', source, directory];
    const child = spawn(process.execPath, args, { stdio: 'inherit' });
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(7);
    const unfinished = readdirSync(directory).filter((name) => name.endsWith('.tmp'));
    expect(unfinished).toEqual([expect.stringContaining(snapshotName(1))]);
    const again = await MetadataStore.open(directory, NO_MERGES);
    expect(again.size).toBe(200_000);
    expect(again.recovery.removed.join()).toContain(unfinished[0]);
    await again.close();
    expect(readdirSync(directory).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('a merge that fails', () => {
  test('for lack of space is reported by stats and an event and retried, and nothing is lost', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', NO_MERGES);
    const failures: Error[] = [];
    store.on('mergeFailed', (error) => failures.push(error));
    await store.insertBatch(batchOf(0, 100, 1));
    fs.faults.add({ call: 'write', error: 'ENOSPC', mode: 'sticky', path: /\.tmp$/ });
    const error = await rejection(store.merge());
    expect(error.code).toBe('LODESTORE_FULL');
    expect((error.cause as { code: string }).code).toBe('ENOSPC');
    expect(failures).toEqual([error]);
    expect(store.stats().merges).toMatchObject({ state: 'retrying', failed: 1, lastError: error });
    expect(namesIn(fs).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    await store.insertBatch(batchOf(100, 200, 2));
    expect(store.size).toBe(200);
    fs.faults.clear();
    await store.merge();
    expect(store.stats().merges).toMatchObject({
      state: 'idle',
      completed: 1,
      lastError: undefined,
    });
    expect([store.size, store.stats().logs.bytes]).toEqual([200, 0]);
    await store.close();
    const again = await openOn(fs.minimalCrash(), '/s');
    expect([again.size, again.get(150)?.value]).toEqual([200, 2n]);
    await again.close();
  });

  test('is retried automatically after a while', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', { mergeBytes: 1 });
    fs.faults.add({ call: 'write', error: 'ENOSPC', mode: 'sticky', path: /\.tmp$/ });
    await store.insertBatch(noisy(1, 1000));
    for (let i = 0; i < 20; i++) await turn();
    expect(store.stats().merges).toMatchObject({ state: 'retrying', completed: 0, failed: 1 });
    vi.advanceTimersByTime(5_000);
    for (let i = 0; i < 20; i++) await turn();
    expect(store.stats().merges).toMatchObject({ state: 'retrying', completed: 0, failed: 2 });
    fs.faults.clear();
    vi.advanceTimersByTime(5_000);
    for (let i = 0; i < 20; i++) await turn();
    expect(store.stats().merges).toMatchObject({ state: 'idle', completed: 1, failed: 2 });
    await store.close();
  });

  test.each([
    ['write', 'ENOSPC', /\.tmp$/],
    ['write', 'EIO', /\.tmp$/],
    ['dataSync', 'EIO', /\.tmp$/],
    ['read', 'EIO', /./],
    ['open', 'EMFILE', /./],
    ['rename', 'EIO', /./],
    ['syncDirectory', 'EIO', /./],
    ['unlink', 'EIO', /./],
  ] as const)(
    'by %s %s at each call keeps all records correct, here and after a crash',
    async (call, error, path) => {
      let failed = 0;
      for (let nth = 1; nth < 60; nth++) {
        const fs = new CrashFs({ trace: false });
        const store = await openOn(fs, '/s', NO_MERGES);
        await store.insertBatch(batchOf(0, 9000, 1));
        await store.merge();
        await store.insertBatch(new WriteBatch().put(1, 5).put(8500, 5).delete(3).put(10_000, 5));
        const dump = dumpOfStore(store);
        fs.faults.add({ call, error, nth, path });
        const outcome = await store.merge().then(
          () => 'merged',
          () => 'failed',
        );
        fs.faults.clear();
        if (outcome === 'failed') failed++;
        expect(dumpOfStore(store)).toBe(dump);
        const isPoisoned = store.stats().state === 'poisoned';
        if (!isPoisoned) await store.merge();
        expect(dumpOfStore(store)).toBe(dump);
        for (const crashed of [fs.minimalCrash(), fs.kill()]) {
          const again = await openOn(crashed, '/s');
          expect(dumpOfStore(again), `${call} ${nth}`).toBe(dump);
          await again.close();
        }
        await store.close();
        if (outcome === 'merged' && nth > 3) break;
      }
      expect(failed > 0 || call === 'unlink').toBe(true);
    },
  );

  test('in a rename or a directory sync poisons the store', async () => {
    for (const call of ['rename', 'syncDirectory'] as const) {
      for (const takesEffect of call === 'rename' ? [true, false] : [false]) {
        const fs = new CrashFs({ trace: false });
        const store = await openOn(fs, '/s', NO_MERGES);
        await store.insertBatch(batchOf(0, 10, 1));
        await turn();
        fs.faults.add({ call, error: 'EIO', takesEffect, mode: 'sticky' });
        expect((await rejection(store.merge())).code).toBe('LODESTORE_POISONED');
        expect(store.stats().state).toBe('poisoned');
        expect((await rejection(store.insertBatch(batchOf(0, 1, 1)))).outcome).toBe('not-applied');
        expect(store.size).toBe(10);
        fs.faults.clear();
        await store.close();
        const again = await openOn(fs.minimalCrash(), '/s');
        expect(again.size).toBe(10);
        await again.close();
      }
    }
  });

  test('space is checked before anything is written', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const fs = new CrashFs({ capacityBytes: 3_000_000 });
    const store = await openOn(fs, '/s', NO_MERGES);
    await store.insertBatch(noisy(1, 900_000));
    await turn();
    const before = namesIn(fs);
    const written = fs.trace.filter(({ path }) => path.endsWith('.tmp')).length;
    const error = await rejection(store.merge());
    expect(error).toBeInstanceOf(StoreFullError);
    expect(error.message).toMatch(/needs about \d+ bytes in \/s, but \d+ are free/);
    expect(fs.trace.filter(({ path }) => path.endsWith('.tmp')).length).toBe(written);
    expect(namesIn(fs)).toEqual(before);
    expect(store.stats().merges).toMatchObject({ state: 'retrying', failed: 1 });
    await store.insertBatch(batchOf(5, 6, 1));
    expect(store.size).toBe(2);
    await store.close();
  });
});

describe('damage found by a merge', () => {
  async function storeWithClosedLog(): Promise<{ fs: CrashFs; store: MetadataStore }> {
    const fs = new CrashFs({ trace: false });
    const first = await openOn(fs, '/s', NO_MERGES);
    await first.insertBatch(batchOf(0, 9000, 1));
    await first.merge();
    await first.insertBatch(batchOf(5, 6, 5));
    await first.close();
    return { fs, store: await openOn(fs, '/s', NO_MERGES) };
  }

  test.each([
    ['a closed log', logName(2), 150],
    ['the header of a closed log', logName(2), 20],
    ['a chunk that the logs touch', snapshotName(1), 200],
    ['the index of the snapshot', snapshotName(1), -70],
  ] as const)(
    '%s: merging stops, every file stays, and the damage is reported',
    async (_what, name, offset) => {
      const { fs, store } = await storeWithClosedLog();
      const failures: Error[] = [];
      store.on('mergeFailed', (error) => failures.push(error));
      await store.insertBatch(batchOf(8999, 9001, 7));
      const path = `/s/${name}`;
      const bytes = fs.files().get(path) ?? new Uint8Array(0);
      const at = offset < 0 ? bytes.length + offset : offset;
      fs.damage(path, at, Uint8Array.of((bytes[at] ?? 0) ^ 0xff));
      const before = fs.files();
      const error = (await rejection(store.merge())) as CorruptionError;
      expect(error).toBeInstanceOf(CorruptionError);
      expect(error.path).toBe(path);
      expect(error.hint).toMatch(/lodestore explain/);
      expect(failures).toEqual([error]);
      expect(store.stats().merges).toMatchObject({ state: 'stopped', failed: 1, lastError: error });
      expect(await rejection(store.merge())).toBe(error);
      for (const kept of [logName(2), snapshotName(1)]) {
        expect(fs.files().get(`/s/${kept}`)).toEqual(before.get(`/s/${kept}`));
      }
      expect(namesIn(fs).filter((one) => one.endsWith('.tmp'))).toEqual([]);
      // Memory is correct, and writes continue: they are durable in a separate log.
      expect([store.get(5)?.value, store.get(9000)?.value]).toEqual([5n, 7n]);
      await store.insertBatch(batchOf(20_000, 20_001, 1));
      await store.close();
      const reopened = await rejection(openOn(fs, '/s'));
      expect(reopened).toBeInstanceOf(CorruptionError);
      expect(reopened.path).toBe(path);
    },
  );

  test('a log that has less than was acknowledged is damage', async () => {
    const { fs, store } = await storeWithClosedLog();
    const file = await fs.open(`/s/${logName(2)}`, 'r+');
    const { sizeBytes } = await file.stat();
    await file.truncate(128);
    await file.truncate(sizeBytes);
    await file.close();
    const error = await rejection(store.merge());
    expect(error).toBeInstanceOf(CorruptionError);
    expect(error.message).toMatch(/differs from what was acknowledged/);
    await store.close();
  });
});

describe('while merges do not complete', () => {
  const LIMIT = { logLimitBytes: 1024 * 1024, mergeBytes: 1024 * 1024 };

  /** The outcome of a promise after pending work, without a clock. */
  async function outcomeNow(promise: Promise<unknown>): Promise<string> {
    let outcome = 'pending';
    promise.then(
      () => (outcome = 'done'),
      () => (outcome = 'rejected'),
    );
    for (let i = 0; i < 30; i++) await turn();
    return outcome;
  }

  test('writes are delayed beyond the limit, rejected beyond twice the limit, and continue after a merge', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', LIMIT);
    fs.faults.add({ call: 'write', error: 'ENOSPC', mode: 'sticky', path: /\.tmp$/ });
    let key = 0;
    const write = (): Promise<unknown> => store.insertBatch(noisy(key++, 250_000));
    while (store.stats().logs.bytes <= 1024 * 1024) {
      expect(await outcomeNow(write())).toBe('done');
    }
    expect(store.stats().merges.state).toBe('retrying');
    const slow = write();
    expect(await outcomeNow(slow)).toBe('pending');
    vi.advanceTimersByTime(100);
    expect(await outcomeNow(slow)).toBe('done');
    let error: StoreError | undefined;
    while (error === undefined) {
      const next = write().then(
        () => undefined,
        (caught: unknown) => caught as StoreError,
      );
      await outcomeNow(next);
      vi.advanceTimersByTime(100);
      error = await next;
    }
    expect(error).toBeInstanceOf(StoreFullError);
    expect(error.outcome).toBe('not-applied');
    expect(error.message).toMatch(/merges do not complete/);
    expect((error.cause as StoreError).code).toBe('LODESTORE_FULL');
    expect(store.stats().logs.bytes).toBeGreaterThan(2 * 1024 * 1024);
    expect(store.size).toBe(key - 1);
    fs.faults.clear();
    await store.merge();
    expect(await outcomeNow(write())).toBe('done');
    await store.close();
    const again = await openOn(fs, '/s');
    expect(again.size).toBe(key - 1);
    await again.close();
  });

  test('a limit below the size at which a merge is due makes one due', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', { logLimitBytes: 1024 * 1024, mergeBytes: 2 ** 40 });
    for (let key = 0; key < 12; key++) {
      await store.insertBatch(noisy(key, 250_000));
      for (let i = 0; i < 30; i++) await turn();
    }
    expect(store.stats().merges.completed).toBeGreaterThan(0);
    expect(store.size).toBe(12);
    await store.close();
  });
});
