import { once } from 'node:events';
import { realpath, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Clock } from '../../property-tests/campaign/clock.ts';
import { logName } from '../../src/format/file-name.ts';
import { FilesLostError, MetadataStore, type StoreError } from '../../src/index.ts';
import type { StartTimer } from '../../src/store/commit/log-sync.ts';
import type { CallScheduler } from '../../src/testing/scheduler.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { openStoreIn } from '../../src/store/metadata-store.ts';
import { simulatedEnvironment } from '../../src/testing/open-on.ts';
import { deferred } from '../support/deferred.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

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
async function openFilled(
  clock: Clock = new Clock(),
  scheduler?: CallScheduler,
): Promise<{ fs: CrashFs; store: MetadataStore; live: string }> {
  const fs = new CrashFs(scheduler && { scheduler });
  let store = await openOn(fs, '/s');
  await store.insertBatch(put(1));
  await store.merge();
  await store.insertBatch(put(2));
  await store.close();
  const environment = simulatedEnvironment(fs);
  const startTimer: StartTimer = (_delayMs, ring) => clock.start(ring);
  store = await openStoreIn({ ...environment, startTimer }, '/s', {});
  await store.insertBatch(put(3));
  await store.insertBatch(put(4));
  const number = store.stats().logs.liveNumber!;
  return { fs, store, live: `/s/log_${number.toString(16).padStart(16, '0')}` };
}

async function cut(fs: CrashFs, path: string): Promise<void> {
  const file = await fs.open(path, 'r+');
  await file.truncate(100);
  await file.close();
}

async function filesOf(fs: CrashFs, prefix: string): Promise<string[]> {
  const entries = await fs.readDirectory('/s');
  const names = entries.map(({ name }) => name).filter((name) => name.startsWith(prefix));
  return names.toSorted().map((name) => `/s/${name}`);
}

/** Nothing more is acknowledged, errors are typed and immediate, and memory can be read. */
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

const GONE: Record<string, (fs: CrashFs, path: string) => Promise<void>> = {
  removed: (fs, path) => fs.unlink(path),
  renamed: (fs, path) => fs.rename(path, '/s/elsewhere'),
};

describe.each(Object.keys(GONE))('after the live log was %s', (loss) => {
  test('the next batch is not acknowledged', async () => {
    const { fs, store, live } = await openFilled();
    await GONE[loss]!(fs, live);
    expect((await rejection(store.insertBatch(put(5)))).outcome).toBe('unknown');
    await expectLost(store, live);
  });

  test('deferred batches are not reported as durable', async () => {
    const { fs, store, live } = await openFilled();
    await store.insertBatch(put(5), { durability: 'deferred' });
    await GONE[loss]!(fs, live);
    expect(await rejection(store.sync())).toBeInstanceOf(FilesLostError);
    expect(await rejection(store.close())).toBeInstanceOf(FilesLostError);
  });
});

test.each([
  ['written', 'sync', 'write', 'unknown'],
  ['synced', 'deferred', 'dataSync', 'not-applied'],
] as const)(
  'what is being %s when a file is found lost is not acknowledged',
  async (_what, durability, call, outcome) => {
    const started = deferred<undefined>();
    const released = deferred<undefined>();
    let held: string | undefined;
    const turn = async (label: string): Promise<void> => {
      if (label !== held) return;
      started.resolve(undefined);
      await released.promise;
    };
    const clock = new Clock();
    const { fs, store, live } = await openFilled(clock, { turn });
    if (durability === 'deferred') await store.insertBatch(put(5), { durability });
    held = `${call} ${live}`;
    const done = durability === 'deferred' ? store.sync() : store.insertBatch(put(5));
    const refused = rejection(done);
    await started.promise;
    const [path] = await filesOf(fs, 'snapshot');
    await fs.rename(path!, '/s/elsewhere');
    const told = once(store, 'poisoned');
    clock.ring();
    await told;
    released.resolve(undefined);
    expect(await refused).toBeInstanceOf(FilesLostError);
    expect((await refused).outcome).toBe(outcome);
    await expectLost(store, path!);
  },
);

test.each(['background', 'inline'] as const)(
  'on a real disk, a batch after the live log was renamed is not acknowledged: commits %s',
  async (commits) => {
    const directory = await realpath(await temporaryDirectory());
    const store = await MetadataStore.open(directory, { commits });
    await store.insertBatch(put(1));
    const live = join(directory, logName(store.stats().logs.liveNumber!));
    await rename(live, join(directory, 'elsewhere'));
    const lost = await rejection(store.insertBatch(put(2)));
    expect(lost).toBeInstanceOf(FilesLostError);
    expect(lost).toMatchObject({ outcome: 'unknown', path: live });
    await store.close();
  },
);

test('after the live log was truncated, the next batch is not acknowledged', async () => {
  const { fs, store, live } = await openFilled();
  await cut(fs, live);
  expect((await rejection(store.insertBatch(put(5)))).outcome).toBe('unknown');
  await expectLost(store, live);
});

test.each(['snapshot', 'log'])('a merge detects a removed %s', async (prefix) => {
  const { fs, store } = await openFilled();
  const [path] = await filesOf(fs, prefix);
  await fs.unlink(path!);
  expect(await rejection(store.merge())).toBeInstanceOf(FilesLostError);
  await expectLost(store, path!);
});

test.each(['snapshot', 'log'])('a backup detects a removed %s', async (prefix) => {
  const { fs, store } = await openFilled();
  const [path] = await filesOf(fs, prefix);
  await fs.unlink(path!);
  expect(await rejection(store.backup('/b'))).toBeInstanceOf(FilesLostError);
  await expectLost(store, path!);
});

test('a change feed detects a removed log', async () => {
  const { fs, store } = await openFilled();
  const [path] = await filesOf(fs, 'log');
  await fs.unlink(path!);
  const feed = store.changes({ after: 1n });
  expect(await rejection(feed.next())).toBeInstanceOf(FilesLostError);
  await expectLost(store, path!);
});

test.each(['snapshot', 'log'])('a merge detects a truncated %s', async (prefix) => {
  const { fs, store } = await openFilled();
  const [path] = await filesOf(fs, prefix);
  await cut(fs, path!);
  expect(await rejection(store.merge())).toBeInstanceOf(FilesLostError);
  await expectLost(store, path!);
});

test('a closed log truncated during a merge is reported as lost, not as damaged', async () => {
  let cutting: string | undefined;
  const turn = async (label: string): Promise<void> => {
    const path = cutting;
    if (path === undefined || !label.startsWith(`open ${path}`)) return;
    cutting = undefined;
    await cut(fs, path);
  };
  const { fs, store } = await openFilled(new Clock(), { turn });
  const [path] = await filesOf(fs, 'log');
  cutting = path;
  expect(await rejection(store.merge())).toBeInstanceOf(FilesLostError);
  expect(cutting).toBeUndefined();
  await expectLost(store, path!);
});

test('a backup detects a truncated closed log', async () => {
  const { fs, store } = await openFilled();
  const [path] = await filesOf(fs, 'log');
  await cut(fs, path!);
  expect(await rejection(store.backup('/b'))).toBeInstanceOf(FilesLostError);
  expect((await fs.readDirectory('/')).map(({ name }) => name)).toEqual(['s']);
  await expectLost(store, path!);
});

describe('without a merge, a backup or a feed', () => {
  const LOSSES: Record<string, (fs: CrashFs, path: string) => Promise<void>> = {
    cut,
    renamed: (fs, path) => fs.rename(path, `${path}.old`),
    removed: (fs, path) => fs.unlink(path),
    'replaced by a directory': async (fs, path) => {
      await fs.unlink(path);
      await fs.makeDirectory(path);
    },
  };

  test.each(Object.keys(LOSSES))(
    'a file that was %s is detected when the timer fires',
    async (loss) => {
      for (const index of [0, 1, 2]) {
        const clock = new Clock();
        const { fs, store, live } = await openFilled(clock);
        // The next write detects a live log that is too short.
        if (loss === 'cut' && index === 2) break;
        const files = [...(await filesOf(fs, 'snapshot')), ...(await filesOf(fs, 'log'))];
        const path = [files[0], files[1], live][index]!;
        const told = once(store, 'poisoned');
        await LOSSES[loss]!(fs, path);
        clock.ring();
        expect(await told).toEqual([expect.any(FilesLostError)]);
        await expectLost(store, path);
      }
    },
  );

  test('a log that was renamed while it was live is detected when it is closed', async () => {
    const { fs, store, live } = await openFilled();
    await fs.rename(live, '/s/elsewhere');
    const told = once(store, 'poisoned');
    const merging = rejection(store.merge());
    await told;
    expect(await merging).toBeInstanceOf(FilesLostError);
    await expectLost(store, live);
  });

  test('files that a merge replaces are not missed, and a failed check proves nothing', async () => {
    const clock = new Clock();
    const { fs, store } = await openFilled(clock);
    const merging = store.merge();
    for (let turn = 0; turn < 200; turn++) {
      clock.ring();
      await Promise.resolve();
    }
    await merging;
    fs.faults.add({ call: 'stat', mode: 'sticky', error: 'EIO', path: /(log|snapshot)_/ });
    clock.ring();
    await store.insertBatch(put(5));
    expect(store.stats().state).toBe('open');
    await store.close();
  });

  test('a closed store does not check any more', async () => {
    const clock = new Clock();
    const { fs, store } = await openFilled(clock);
    await store.close();
    const before = fs.trace.length;
    clock.ring();
    await Promise.resolve();
    expect(fs.trace.length).toBe(before);
  });
});
