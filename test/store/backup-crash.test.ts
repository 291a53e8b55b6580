import { afterEach, expect, test } from 'vitest';
import { StoreError, type CopyProgress, type MetadataStore } from '../../src/index.ts';
import { restoreOn } from '../../src/store/backup/restore.ts';
import {
  CALL_KINDS,
  CrashFs,
  openOn,
  type CallKind,
  type CallScheduler,
  type CrashFsOptions,
  type CrashModel,
} from '../../src/testing/index.ts';
import { exists, recordsOf, type Records } from '../support/backup.ts';
import { casesOf } from '../support/effort.ts';

const TARGET = '/b/backup';
const PARTIAL = '/b/backup.partial';

/** The records before the backup; key 9 is also written while it runs. */
const BEFORE: Records = new Map([
  [1n, 10n],
  [2n, 20n],
  [3n, 30n],
  [4n, 40n],
]);

/** The files of a store in `/s` with a snapshot and sealed logs, made once. */
const FILES = (async (): Promise<Record<string, Uint8Array>> => {
  const fs = new CrashFs({ trace: false });
  const store = await openOn(fs, '/s');
  await store.insertBatch([{ type: 'put', key: 1, value: 10 }]);
  await store.merge();
  await store.insertBatch([{ type: 'put', key: 2, value: 20 }]);
  await store.close();
  const reopened = await openOn(fs, '/s');
  await reopened.insertBatch([{ type: 'put', key: 3, value: 30 }]);
  await reopened.close();
  return Object.fromEntries(fs.files());
})();

/** A machine with that store open, and a live log. */
async function makeStore(options: CrashFsOptions): Promise<{ fs: CrashFs; store: MetadataStore }> {
  const fs = CrashFs.withFiles({ ...(await FILES), '/b/other': new Uint8Array(0) }, options);
  const store = await openOn(fs, '/s');
  openStores.push(store);
  await store.insertBatch([{ type: 'put', key: 4, value: 40 }]);
  return { fs, store };
}

/** Stores of the running test, whose timers keep them in memory until they are closed. */
const openStores: MetadataStore[] = [];

afterEach(async () => {
  for (const store of openStores.splice(0)) await store.close().catch(() => undefined);
});

async function open(fs: CrashFs, directory: string, readOnly = false): Promise<Records> {
  const store = await openOn(fs, directory, { readOnly });
  const records = recordsOf(store);
  await store.close();
  return records;
}

/** A backup has the state between two batches, and all earlier batches. */
function expectMoment(records: Records): void {
  const { size } = records;
  const expected = new Map(BEFORE);
  if (size > BEFORE.size) expected.set(9n, 90n);
  expect(records).toEqual(expected);
}

/** No new store may be created in an incomplete copy: it is marked, or the directory is empty. */
async function requireNotLockAlone(fs: CrashFs): Promise<void> {
  const names = (await fs.readDirectory(PARTIAL)).map(({ name }) => name).sort();
  expect(names).not.toEqual(['lodestore.lock']);
}

/**
 * The target is absent or complete, and an incomplete one says so. Returns true if it is complete.
 */
async function judgeTarget(fs: CrashFs, isRemoved = false): Promise<boolean> {
  const isThere = await exists(fs, TARGET);
  if (isThere) expectMoment(await open(fs, TARGET, true));
  if (await exists(fs, PARTIAL)) {
    if (!isRemoved) await requireNotLockAlone(fs);
    const opened = await open(fs, PARTIAL, true).catch((error: StoreError) => error.code);
    if (typeof opened === 'string') expect(opened).toMatch(/INCOMPLETE|NOT_FOUND/);
    else expectMoment(opened);
  }
  return isThere;
}

/** Everything that must hold after a crash during a backup. */
async function judge(fs: CrashFs, isRemoved = false): Promise<void> {
  const isThere = await judgeTarget(fs, isRemoved);
  if (isThere) {
    await restoreOn(fs, TARGET, '/r');
    expectMoment(await open(fs, '/r'));
  }
  const store = await openOn(fs, '/s');
  expectMoment(recordsOf(store));
  const isMarked = await exists(fs, `${PARTIAL}/lodestore.incomplete`);
  const isFinished = !isMarked && (await exists(fs, `${PARTIAL}/BACKUP.json`));
  // An interrupted backup can be repeated.
  const again = store.backup(TARGET, { verify: true });
  if (isThere || isFinished) {
    await expect(again).rejects.toMatchObject({ code: 'LODESTORE_BAD_TARGET' });
  } else {
    await again;
    expectMoment(await open(fs, TARGET, true));
    expect(await exists(fs, PARTIAL)).toBe(false);
  }
  await store.close();
}

/** Every second machine; all in a full run. */
async function judgeEach(
  machines: ReadonlyMap<number, CrashFs>,
  judgeOne: (machine: CrashFs) => Promise<void>,
): Promise<void> {
  const all = [...machines.values()];
  for (const number of casesOf(all.length, 2)) {
    await judgeOne(all[number]!).catch((error: unknown) => {
      throw new Error(`machine ${number}`, { cause: error });
    });
  }
}

/** Records the machine before the end of every call. */
class Watcher implements CallScheduler {
  onTurn: () => void = () => undefined;

  turn(): Promise<void> {
    this.onTurn();
    return Promise.resolve();
  }
}

interface Crashes {
  readonly machines: Map<number, CrashFs>;
  points: number;
}

/** Runs `work`. Returns the machines after crashes and kills at its calls and syncs. */
async function crashDuring(
  model: CrashModel,
  begin: (fs: CrashFs, store: MetadataStore) => Promise<() => Promise<unknown>>,
  isThereAtEnd = true,
): Promise<Crashes> {
  const crashes: Crashes = { machines: new Map(), points: 0 };
  const keep = (fs: CrashFs): void => {
    crashes.machines.set(fs.hash(), fs);
  };
  const watcher = new Watcher();
  let isWatching = false;
  const { fs, store } = await makeStore({
    model,
    trace: false,
    scheduler: watcher,
    onCrashPoint: (point) => {
      if (!isWatching) return;
      for (const state of point.fs.crashStates({ cap: 12, seed: crashes.points })) {
        keep(point.fs.materialise(state));
      }
    },
  });
  const work = await begin(fs, store);
  watcher.onTurn = () => {
    crashes.points++;
    keep(fs.kill());
    keep(fs.minimalCrash());
    keep(fs.randomCrash(crashes.points));
  };
  isWatching = true;
  await work();
  watcher.onTurn = () => undefined;
  keep(fs.minimalCrash());
  expect(await judgeTarget(fs.minimalCrash())).toBe(isThereAtEnd);
  return crashes;
}

for (const model of ['posix', 'ordered', 'linked'] as const) {
  for (const links of model === 'posix' ? ['linked', 'copied'] : ['copied']) {
    test(`a crash at any step of a backup (${model}, ${links}) leaves the target absent or complete and the source whole`, async () => {
      const { machines, points } = await crashDuring(model, async (fs, store) => {
        if (links === 'copied') fs.faults.add({ call: 'link', error: 'EXDEV', mode: 'sticky' });
        return async () => {
          const writing = store.insertBatch([{ type: 'put', key: 9, value: 90 }]);
          await Promise.all([store.backup(TARGET), writing]);
        };
      });
      expect(points).toBeGreaterThan(50);
      expect(machines.size).toBeGreaterThan(20);
      await judgeEach(machines, judge);
    });
  }

  test(`a crash at any step of a restore (${model}) leaves the store absent or complete`, async () => {
    const { machines } = await crashDuring(model, async (fs, store) => {
      await store.backup('/copy');
      await store.close();
      return () => restoreOn(fs, '/copy', TARGET);
    });
    expect(machines.size).toBeGreaterThan(10);
    await judgeEach(machines, async (machine) => {
      const isThere = await judgeTarget(machine);
      // Also if only the final name was missing: the restore then finishes.
      if (!isThere) await restoreOn(machine, '/copy', TARGET);
      expect(await exists(machine, PARTIAL)).toBe(false);
      expect(await open(machine, TARGET)).toEqual(BEFORE);
    });
  });
}

test('a crash while a merge and a backup run concurrently', async () => {
  const { machines } = await crashDuring('posix', async (_fs, store) => {
    return async () => {
      const merging = store.merge();
      const writing = store.insertBatch([{ type: 'put', key: 9, value: 90 }]);
      await Promise.all([store.backup(TARGET), merging, writing]);
    };
  });
  expect(machines.size).toBeGreaterThan(20);
  await judgeEach(machines, judge);
});

test('a crash during the removal of an aborted backup', async () => {
  const { machines } = await crashDuring(
    'posix',
    async (_fs, store) => {
      const abort = new AbortController();
      // Names and bytes of the copies are durable by then.
      const onProgress = ({ phase }: CopyProgress): void => {
        if (phase === 'verify') abort.abort();
      };
      const options = { signal: abort.signal, verify: true, onProgress };
      return () =>
        expect(store.backup(TARGET, options)).rejects.toMatchObject({ name: 'AbortError' });
    },
    false,
  );
  expect(machines.size).toBeGreaterThan(20);
  await judgeEach(machines, (machine) => judge(machine, true));
});

test('a crash during the removal of a complete backup that cannot get its name', async () => {
  const { machines } = await crashDuring(
    'posix',
    async (fs, store) => {
      fs.faults.add({ call: 'removeDirectory', path: TARGET });
      return () => expect(store.backup(TARGET)).rejects.toMatchObject({ code: 'LODESTORE_IO' });
    },
    false,
  );
  expect(machines.size).toBeGreaterThan(20);
  await judgeEach(machines, (machine) => judge(machine, true));
});

test('a crash during the removal of a complete restored store that cannot get its name', async () => {
  const { machines } = await crashDuring(
    'posix',
    async (fs, store) => {
      await store.backup('/copy');
      await store.close();
      fs.faults.add({ call: 'removeDirectory', path: TARGET });
      const restoring = (): Promise<unknown> => restoreOn(fs, '/copy', TARGET);
      return () => expect(restoring()).rejects.toMatchObject({ code: 'LODESTORE_IO' });
    },
    false,
  );
  expect(machines.size).toBeGreaterThan(10);
  await judgeEach(machines, async (machine) => {
    expect(await judgeTarget(machine, true)).toBe(false);
    await restoreOn(machine, '/copy', TARGET);
    expect(await open(machine, TARGET)).toEqual(BEFORE);
  });
});

test('a crash during the takeover of an interrupted backup', async () => {
  const { machines } = await crashDuring('posix', async (fs, store) => {
    fs.faults.add({ call: 'rename', path: new RegExp(PARTIAL), error: 'EIO' });
    fs.faults.add({ call: 'unlink', path: new RegExp(PARTIAL), mode: 'sticky' });
    await expect(store.backup(TARGET)).rejects.toBeInstanceOf(StoreError);
    expect(await exists(fs, `${PARTIAL}/lodestore.incomplete`)).toBe(true);
    fs.faults.clear();
    return () => store.backup(TARGET);
  });
  await judgeEach(machines, judge);
});

test('a lack of descriptors for all files at once does not stop a backup', async () => {
  const path = /^\/s\/(snapshot_|log_000000000000000[23])/;
  for (const links of ['linked', 'copied']) {
    for (const nth of [1, 2, 3]) {
      const { fs, store } = await makeStore({ trace: false });
      if (links === 'copied') fs.faults.add({ call: 'link', error: 'EXDEV', mode: 'sticky' });
      fs.faults.add({ call: 'open', nth, error: nth === 1 ? 'ENFILE' : 'EMFILE', path });
      const { files } = await store.backup(TARGET, { verify: true });
      expect(files.length).toBeGreaterThan(3);
      expectMoment(await open(fs, TARGET, true));
      await store.close();
    }
  }
});

test('the names of existing parents are durable, too', async () => {
  const { fs, store } = await makeStore({ trace: false });
  for (const path of ['/new', '/new/of-backup']) await fs.makeDirectory(path);
  await store.backup('/new/of-backup/backup');
  const copied = fs.minimalCrash();
  expectMoment(await open(copied, '/new/of-backup/backup', true));
  await copied.makeDirectory('/later');
  await restoreOn(copied, '/new/of-backup/backup', '/later/restored');
  expect(await open(copied.minimalCrash(), '/later/restored')).toEqual(BEFORE);
});

/** Calls that may have taken effect although they fail. */
const CHANGES: ReadonlySet<CallKind> = new Set([
  'open',
  'rename',
  'unlink',
  'link',
  'makeDirectory',
  'removeDirectory',
]);

/** Calls that a backup or a restore makes itself. */
const TOUCHED = /^\/(b|r)(\/|$)/;

/** Fails each call of each kind in turn; `work` must reject or succeed completely. */
async function failEach(
  work: (fs: CrashFs, store: MetadataStore) => Promise<unknown>,
  after: (fs: CrashFs, store: MetadataStore, error: unknown, call: CallKind) => Promise<void>,
  path: RegExp,
): Promise<Map<CallKind, number>> {
  const failures = new Map<CallKind, number>();
  for (const call of CALL_KINDS) {
    for (const takesEffect of CHANGES.has(call) ? [false, true] : [false]) {
      for (let nth = 1; ; nth++) {
        const { fs, store } = await makeStore({ trace: true });
        const from = fs.trace.length;
        fs.faults.add({ call, nth, path, takesEffect });
        const error = await work(fs, store).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        fs.faults.clear();
        const made = fs.trace.slice(from).filter((one) => one.kind === call && path.test(one.path));
        if (made.length < nth) break;
        failures.set(call, (failures.get(call) ?? 0) + 1);
        await after(fs, store, error, call);
        await store.close();
      }
    }
  }
  return failures;
}

test('a failure of any call of a backup is reported, leaves nothing that looks finished, and the store continues', async () => {
  const failures = await failEach(
    (_fs, store) => store.backup(TARGET, { verify: true }),
    async (fs, store, error, call) => {
      if (error !== undefined) expect(error).toBeInstanceOf(StoreError);
      const isThere = await judgeTarget(fs, true);
      if (error === undefined) expect(isThere).toBe(true);
      await store.insertBatch([{ type: 'put', key: 9, value: 90 }]);
      if (CHANGES.has(call)) await judge(fs.kill(), true);
    },
    TOUCHED,
  );
  for (const call of [
    'open',
    'write',
    'dataSync',
    'rename',
    'syncDirectory',
    'makeDirectory',
  ] as const) {
    expect([call, failures.get(call) ?? 0]).toEqual([call, expect.any(Number)]);
    expect(failures.get(call)).toBeGreaterThan(0);
  }
});

test('a failure of any link and any open of the store leaves the store working', async () => {
  const failures = await failEach(
    (_fs, store) => store.backup(TARGET),
    async (fs, store, error, call) => {
      // The data were read, whether or not the file could be closed.
      if (call === 'close') return;
      // A failed check of the store's file names proves nothing: the backup continues.
      if (call === 'stat') return;
      expect(error).toBeInstanceOf(StoreError);
      expect(await exists(fs, TARGET)).toBe(false);
      expect(await exists(fs, PARTIAL)).toBe(false);
      await store.insertBatch([{ type: 'put', key: 9, value: 90 }]);
      await store.backup(TARGET);
      expectMoment(await open(fs, TARGET, true));
    },
    /^\/s\/(snapshot_|log_000000000000000[23])/,
  );
  expect(failures.get('link')).toBeGreaterThan(0);
  expect(failures.get('open')).toBeGreaterThan(0);
  expect(failures.get('read')).toBeGreaterThan(0);
});

test('a failure of any call of a restore is reported and leaves nothing that looks finished', async () => {
  await failEach(
    async (fs, store) => {
      await store.backup('/copy');
      return restoreOn(fs, '/copy', '/r/restored');
    },
    async (fs, _store, error) => {
      if (error !== undefined) expect(error).toBeInstanceOf(StoreError);
      const isThere = await exists(fs, '/r/restored');
      if (error === undefined) expect(isThere).toBe(true);
      if (isThere) expect(await open(fs, '/r/restored')).toEqual(BEFORE);
      if (!(await exists(fs, '/r/restored.partial'))) return;
      const code = await open(fs, '/r/restored.partial', true).catch((one: StoreError) => one.code);
      if (typeof code === 'string') expect(code).toMatch(/INCOMPLETE|NOT_FOUND/);
      else expect(code).toEqual(BEFORE);
    },
    /^\/r(\/|$)/,
  );
});

test('a lack of space is reported, the copy is removed, and the store continues', async () => {
  for (let spareBytes = 0; spareBytes < 3_000; spareBytes += 128) {
    const { fs: roomy, store: filled } = await makeStore({ trace: false });
    await filled.merge();
    await filled.close();
    const used = [...roomy.files().values()].reduce((sum, bytes) => sum + bytes.length, 0);
    const files = Object.fromEntries(roomy.files());
    const fs = CrashFs.withFiles(files, { trace: false, capacityBytes: used + spareBytes + 8192 });
    fs.faults.add({ call: 'link', error: 'EXDEV', mode: 'sticky' });
    const store = await openOn(fs, '/s');
    // The store itself may have prepared a log meanwhile.
    const besideStore = async (): Promise<number> => {
      const ours = [...fs.files()].filter(([path]) => path.startsWith('/s/'));
      return ours.reduce((sum, [, bytes]) => sum + bytes.length, await fs.freeBytes('/'));
    };
    const before = await besideStore();
    const outcome = await store.backup('/backup').then(
      () => 'done',
      (error: StoreError) => error.code,
    );
    if (outcome === 'done') expectMoment(await open(fs, '/backup', true));
    else {
      expect(outcome).toBe('LODESTORE_FULL');
      expect(await exists(fs, '/backup.partial')).toBe(false);
      expect(await besideStore()).toBe(before);
    }
    expectMoment(recordsOf(store));
    await store.close();
  }
});
