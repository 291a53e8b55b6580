import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Clock } from '../../property-tests/campaign/clock.ts';
import { acquireDirectoryLock } from '../../src/directory/lock-acquisition.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';
import { NodeFileSystem } from '../../src/fs/node-file-system.ts';
import { hasFileOpen } from '../../src/fs/process-files.ts';
import {
  DirectoryLostError,
  FencedError,
  MetadataStore,
  type OpenOptions,
  StoreLockedError,
  type StoreError,
} from '../../src/index.ts';
import { openStoreIn } from '../../src/store/metadata-store.ts';
import { NODE_ENVIRONMENT } from '../../src/store/open/environment.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { simulatedEnvironment } from '../../src/testing/open-on.ts';
import { StoreProcess } from '../support/store-process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const HUGE_STALE_MS = 3_600_000;
const LOCK = '/s/lodestore.lock';

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

/** The holder's look at the lock file is valid for a while, so the first commits may succeed. */
const UNTIL_LOOKED = { interval: 0 };

/** Inserts ascending keys from 2 on, until one is refused. */
async function firstRefusal(store: MetadataStore): Promise<StoreError> {
  for (let key = 2; ; key++) {
    const refusal = await store.insertBatch(put(key)).then(
      () => undefined,
      (error: unknown) => error as StoreError,
    );
    if (refusal !== undefined) return refusal;
  }
}

async function newDirectory(): Promise<string> {
  return join(await temporaryDirectory(), 'store');
}

/** As a copy by rename does, or a restore of one file. */
function replaceByCopy(directory: string): void {
  const path = join(directory, 'lodestore.lock');
  copyFileSync(path, `${path}.copy`);
  renameSync(`${path}.copy`, path);
}

describe('a store whose lock file was replaced by a copy', () => {
  test('is refused to other processes while its process has it open', async () => {
    const directory = await newDirectory();
    const owner = await StoreProcess.start();
    await owner.ask('open', directory, HUGE_STALE_MS);
    expect(await owner.ask('write', 1)).toEqual({ acknowledged: 1 });
    replaceByCopy(directory);
    const refused = await rejection(MetadataStore.open(directory));
    expect(refused).toBeInstanceOf(StoreLockedError);
    expect((refused as StoreLockedError).owner.pid).toBe(owner.pid);
    expect(refused.message).toMatch(/lodestore\.lock was replaced meanwhile; close it there first/);
    await expect
      .poll(() => owner.ask('write', 2), UNTIL_LOOKED)
      .toMatchObject({ isFenced: true, code: 'LODESTORE_FENCED' });
    await owner.ask('close');
    const store = await MetadataStore.open(directory);
    expect(store.has(1)).toBe(true);
    await store.close();
  });

  test('opens at once when its process was killed', async () => {
    const directory = await newDirectory();
    const owner = await StoreProcess.start();
    await owner.ask('open', directory, HUGE_STALE_MS);
    await owner.ask('write', 1);
    replaceByCopy(directory);
    await owner.kill();
    expect(existsSync(join(directory, 'lodestore.lease'))).toBe(true);
    const store = await MetadataStore.open(directory, { leaseStaleMs: HUGE_STALE_MS });
    expect([...store.keys()]).toEqual([1n]);
    await store.close();
  });

  test('is refused in the same process, too, and stops there', async () => {
    const directory = await newDirectory();
    const store = await MetadataStore.open(directory);
    await store.insertBatch(put(1));
    replaceByCopy(directory);
    expect(await rejection(MetadataStore.open(directory))).toBeInstanceOf(StoreLockedError);
    const refused = await firstRefusal(store);
    expect(refused).toBeInstanceOf(FencedError);
    expect(refused.path).toBe(join(directory, 'lodestore.lock'));
    expect(refused.message).toMatch(/removed, moved or replaced by another program/);
    const acknowledged = [...store.keys()];
    await store.close();
    const again = await MetadataStore.open(directory);
    expect([...again.keys()]).toEqual(acknowledged);
    await again.close();
  });

  test.each(['its lease left', 'its lease removed, too'])(
    'loses nothing to an open that cannot see its process, %s',
    async (kind) => {
      const directory = await newDirectory();
      const store = await MetadataStore.open(directory);
      const whenRefused = firstRefusal(store);
      replaceByCopy(directory);
      if (kind !== 'its lease left') rmdirSync(join(directory, 'lodestore.lease'));
      const unseen = { ...NODE_ENVIRONMENT, isOpenElsewhere: () => Promise.resolve(false) };
      const next = await openStoreIn(unseen, directory, {});
      expect(await whenRefused).toBeInstanceOf(FencedError);
      const acknowledged = [...store.keys()];
      expect([...next.keys({ limit: acknowledged.length })]).toEqual(acknowledged);
      await store.close();
      await next.close();
    },
  );
});

test('a lease that its living process could not remove does not delay the next open', async () => {
  const directory = await newDirectory();
  class KeepsLeases extends NodeFileSystem {
    override async takeLease(
      ...args: Parameters<NodeFileSystem['takeLease']>
    ): ReturnType<NodeFileSystem['takeLease']> {
      const lease = await super.takeLease(...args);
      const release = (): Promise<void> =>
        Promise.reject(Object.assign(new Error('EPERM'), { code: 'EPERM' }));
      return { isFresh: () => lease.isFresh(), renew: () => lease.renew(), release };
    }
  }
  const store = await MetadataStore.open(directory, { fileSystem: new KeepsLeases() });
  await store.insertBatch(put(1));
  expect((await rejection(store.close())).message).toContain('can be opened again at once');
  expect(existsSync(join(directory, 'lodestore.lease'))).toBe(true);
  const again = await MetadataStore.open(directory, { leaseStaleMs: HUGE_STALE_MS });
  expect([...again.keys()]).toEqual([1n]);
  await again.close();
});

test('the owner is asked about the lock file that the record is in', async () => {
  const fs = new CrashFs();
  await fs.makeDirectory('/s');
  const identity = await simulatedEnvironment(fs).identity();
  const options = { staleMs: 5_000, onLost: (): void => undefined };
  const owner = (await acquireDirectoryLock(fs, '/s', identity, options)).owner;
  const after: FileSystem = fs.kill();
  const isOpenElsewhere = (...asked: unknown[]): Promise<boolean> => {
    expect(asked).toEqual([owner, identity, LOCK]);
    return Promise.resolve(true);
  };
  const attempt = acquireDirectoryLock(after, '/s', identity, { ...options, isOpenElsewhere });
  expect(await rejection(attempt)).toMatchObject({ code: 'LODESTORE_LOCKED', path: LOCK });
});

describe('the files that a process has open', () => {
  test('include removed ones, except that of the given path and those only read', async () => {
    const path = join(await temporaryDirectory(), 'file');
    const fs = new NodeFileSystem();
    const isWanted = (head: Uint8Array): boolean => Buffer.from(head).toString() === path;
    writeFileSync(path, path);
    const reader = await fs.open(path, 'r');
    expect(await hasFileOpen(process.pid, '/dev/null', isWanted)).toBe(false);
    const writer = await fs.open(path, 'r+');
    expect(await hasFileOpen(process.pid, '/dev/null', isWanted)).toBe(true);
    expect(await hasFileOpen(process.pid, path, isWanted)).toBe(false);
    rmSync(path);
    expect(await hasFileOpen(process.pid, path, isWanted)).toBe(true);
    await reader.close();
    await writer.close();
    expect(await hasFileOpen(process.pid, path, isWanted)).toBe(false);
  });

  test('are none of a process that does not exist', async () => {
    expect(await hasFileOpen(4_000_000, '/dev/null', () => true)).toBe(false);
  });
});

const LOSSES: Record<string, (fs: CrashFs) => Promise<void>> = {
  removed: (fs) => fs.unlink(LOCK),
  renamed: (fs) => fs.rename(LOCK, '/s/elsewhere'),
  'replaced by another file': async (fs) => {
    await (await fs.open('/s/other', 'wx')).close();
    await fs.rename('/s/other', LOCK);
  },
  'set aside and made anew': async (fs) => {
    await fs.rename(LOCK, '/s/elsewhere');
    await (await fs.open(LOCK, 'wx')).close();
  },
  'replaced by a directory': async (fs) => {
    await fs.unlink(LOCK);
    await fs.makeDirectory(LOCK);
  },
};

async function openOnClock(
  fs: CrashFs,
  clock: Clock,
  options: OpenOptions = {},
): Promise<MetadataStore> {
  const environment = simulatedEnvironment(fs);
  const startTimer = (_delayMs: number, ring: () => void) => clock.start(ring);
  return openStoreIn({ ...environment, startTimer }, '/s', options);
}

async function expectStopped(store: MetadataStore): Promise<void> {
  const { state, poison } = store.stats();
  expect(state).toBe('poisoned');
  expect(poison).toBeInstanceOf(FencedError);
  expect(poison).toMatchObject({ code: 'LODESTORE_FENCED', path: LOCK });
  expect((await rejection(store.insertBatch(put(9)))).outcome).toBe('not-applied');
  await store.close();
}

describe.each(Object.keys(LOSSES))('a lock file that was %s while the store is open', (loss) => {
  test('is noticed before the next acknowledgement', async () => {
    const fs = new CrashFs();
    const store = await openOnClock(fs, new Clock());
    await store.insertBatch(put(1));
    await LOSSES[loss]!(fs);
    expect(await rejection(store.insertBatch(put(2)))).toBeInstanceOf(FencedError);
    expect([...store.keys()]).toEqual([1n]);
    await expectStopped(store);
  });

  test('is noticed before a blocking commit is acknowledged', async () => {
    const fs = new CrashFs();
    const store = await openOnClock(fs, new Clock(), { commits: 'inline' });
    store.insertBatchSync(put(1));
    await LOSSES[loss]!(fs);
    expect(() => store.insertBatchSync(put(2))).toThrow(FencedError);
    await expectStopped(store);
  });

  test('is noticed while a batch is written', async () => {
    let live: string | undefined;
    const turn = async (label: string): Promise<void> => {
      if (live === undefined || label !== live) return;
      live = undefined;
      await LOSSES[loss]!(fs);
    };
    const fs: CrashFs = new CrashFs({ scheduler: { turn } });
    const store = await openOnClock(fs, new Clock());
    await store.insertBatch(put(1));
    live = `write /s/log_000000000000000${store.stats().logs.liveNumber}`;
    expect((await rejection(store.insertBatch(put(2)))).outcome).toBe('unknown');
    expect([...store.keys()]).toEqual([1n]);
    await expectStopped(store);
  });

  test('is noticed by an idle store when the timer fires', async () => {
    const clock = new Clock();
    const fs = new CrashFs();
    const store = await openOnClock(fs, clock);
    const told = once(store, 'poisoned');
    await LOSSES[loss]!(fs);
    clock.ring();
    expect(await told).toEqual([expect.any(FencedError)]);
    await expectStopped(store);
  });

  test('prevents a merge', async () => {
    const fs = new CrashFs();
    const store = await openOnClock(fs, new Clock());
    await store.insertBatch(put(1));
    await LOSSES[loss]!(fs);
    expect(await rejection(store.merge())).toBeInstanceOf(FencedError);
    await expectStopped(store);
  });
});

test('a directory that was moved is reported as such, not as a lost lock file', async () => {
  const fs = new CrashFs({ directoryAccess: 'by-path' });
  const store = await openOnClock(fs, new Clock());
  await store.insertBatch(put(1));
  await fs.rename('/s', '/moved');
  expect(await rejection(store.insertBatch(put(2)))).toBeInstanceOf(DirectoryLostError);
  await store.close().catch(() => undefined);
});

test('the lock file of a real store is found in place, and is written to', async () => {
  const directory = await newDirectory();
  const store = await MetadataStore.open(directory);
  for (let key = 0; key < 20; key++) await store.insertBatch(put(key));
  await store.close();
  expect(readFileSync(join(directory, 'lodestore.lock')).length).toBeGreaterThan(4096);
});
