import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { FileSystem } from '../../src/fs/file-system.ts';
import { NodeFileSystem } from '../../src/fs/node-file-system.ts';
import {
  CorruptionError,
  MetadataStore,
  restoreBackup,
  type CopyProgress,
} from '../../src/index.ts';
import { requireSameContent } from '../../src/store/backup/backup-check.ts';
import {
  inodesIn,
  openThrough,
  recordsIn,
  recordsOf,
  systemFailure,
  type Records,
} from '../support/backup.ts';
import { ANCESTOR, copyOf, sha256, V1 } from '../support/golden.ts';
import { nth } from '../support/nth.ts';
import { flipByte, insertBatches, namesIn, SMALL_LOGS } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** For tests that match calls by their paths. */
const byPath = new NodeFileSystem('by-path');

/** A store with a snapshot of 20 batches and several logs, in `store` of a new directory. */
async function filledStore(): Promise<{ base: string; directory: string; store: MetadataStore }> {
  const base = await temporaryDirectory();
  const directory = join(base, 'store');
  const store = await MetadataStore.open(directory, SMALL_LOGS);
  await insertBatches(store, 0, 20);
  await store.merge();
  await insertBatches(store, 20, 200);
  return { base, directory, store };
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'resolved',
    (error: unknown) => error,
  );
}

/** The records of `insertBatches(store, 0, count)`. */
function batches(count: number): Records {
  return new Map(
    Array.from({ length: 10 * count }, (_, key) => [BigInt(key), BigInt(Math.floor(key / 10) + 1)]),
  );
}

/** Hashes of logs and snapshots by name. */
function contentOf(directory: string): Map<string, string> {
  const names = readdirSync(directory).filter((name) => /^(log|snapshot)_/.test(name));
  return new Map(names.map((name) => [name, sha256(readFileSync(join(directory, name)))]));
}

/** As `toEqual`, which takes seconds for large maps. */
function expectBatches(found: Records, count: number): void {
  expect(found.size).toBe(10 * count);
  for (let key = 0; key < 10 * count; key++) {
    if (found.get(BigInt(key)) === BigInt(Math.floor(key / 10) + 1)) continue;
    expect.fail(`key ${key} is missing, or of another batch`);
  }
}

/** Batches at most beside one backup: what a fast disk writes more of has no other effect. */
const BESIDE = 300;

describe('a backup', () => {
  test('has everything acknowledged, opens read-only, and has a manifest', async () => {
    const { base, directory, store } = await filledStore();
    const target = join(base, 'backup');
    const report = await store.backup(target);
    await insertBatches(store, 200, 210);
    expect(report).toMatchObject({ target, lastSequence: 200n, records: 2000 });
    const copy = await MetadataStore.open(target, { readOnly: true });
    expect(recordsOf(copy)).toEqual(batches(200));
    expect(copy.recovery.foreignNames).toEqual(['BACKUP.json']);
    await copy.close();
    const names = report.files.map((file) => file.name);
    expect(readdirSync(target).sort()).toEqual(['BACKUP.json', 'lodestore.lock', ...names].sort());
    const manifest = JSON.parse(readFileSync(join(target, 'BACKUP.json'), 'utf8')) as object;
    expect(manifest).toMatchObject({ format: 'lodestore backup', version: 1, records: 2000 });
    expect(readdirSync(base).sort()).toEqual(['backup', 'store']);
    expect(readdirSync(directory)).not.toContain('BACKUP.json');
    await store.close();
  });

  test('links files that never change, and copies the last log', async () => {
    const { base, directory, store } = await filledStore();
    const target = join(base, 'backup');
    const { files, bytes, copiedBytes } = await store.backup(target);
    const [before, after] = [inodesIn(directory), inodesIn(target)];
    const last = nth(files, -1);
    expect(files.length).toBeGreaterThan(3);
    expect(nth(files, 0).name).toBe('snapshot_0000000000000001');
    for (const { name, origin } of files.slice(0, -1)) {
      expect([name, origin, after.get(name)]).toEqual([name, 'linked', before.get(name)]);
    }
    expect(last.origin).toBe('copied');
    expect(after.get(last.name)).not.toBe(before.get(last.name));
    expect(copiedBytes).toBe(last.lengthBytes);
    expect(bytes).toBeGreaterThan(copiedBytes);
    await store.close();
  });

  test('shares no change with the store: neither writing to the backup nor to the store affects the other', async () => {
    const { base, directory, store } = await filledStore();
    const [first, second] = [join(base, 'first'), join(base, 'second')];
    await store.backup(first);
    await insertBatches(store, 200, 201);
    await store.backup(second);
    const untouched = contentOf(second);
    const original = contentOf(directory);
    // Recovery rewrites the last group of `first` in place; a merge removes names there.
    const opened = await MetadataStore.open(first, SMALL_LOGS);
    await insertBatches(opened, 300, 301);
    await opened.merge();
    await opened.close();
    expect(contentOf(second)).toEqual(untouched);
    expect(contentOf(directory)).toEqual(original);
    await insertBatches(store, 201, 202);
    await store.close();
    const again = await MetadataStore.open(directory, SMALL_LOGS);
    await again.merge();
    await again.close();
    expect(contentOf(second)).toEqual(untouched);
    expect(await recordsIn(second)).toEqual(batches(201));
  });

  test('of an empty store, and of one that was only opened', async () => {
    const base = await temporaryDirectory();
    const store = await MetadataStore.open(join(base, 'store'));
    const report = await store.backup(join(base, 'backup'), { verify: true });
    expect(report).toMatchObject({ lastSequence: 0n, records: 0, contentHash: '0'.repeat(32) });
    await store.close();
    const reopened = await MetadataStore.open(join(base, 'store'));
    await reopened.backup(join(base, 'other'));
    await reopened.close();
    await restoreBackup(join(base, 'backup'), join(base, 'restored'));
    expect(await recordsIn(join(base, 'restored'))).toEqual(new Map());
  });

  test.each([
    [ANCESTOR, 'b2-rotated-log-not-merged'],
    [ANCESTOR, 'd-snapshot-and-several-logs'],
    [V1, 'h6-sector-lost'],
    [V1, 'j-leftovers-of-merges'],
    [V1, 'k-our-log-behind-the-ancestors'],
  ])('of a directory of an older format: %s %s', async (collection, name) => {
    const directory = await copyOf(collection, name);
    const store = await MetadataStore.open(directory, SMALL_LOGS);
    await store.insertBatch([{ type: 'put', key: 2n ** 63n, value: 1 }]);
    const base = await temporaryDirectory();
    await store.backup(join(base, 'backup'), { verify: true });
    const records = recordsOf(store);
    await store.close();
    await restoreBackup(join(base, 'backup'), join(base, 'restored'));
    expect(await recordsIn(join(base, 'restored'))).toEqual(records);
  });

  test('beside writers and merges has the state between two batches, with everything acknowledged before', async () => {
    const base = await temporaryDirectory();
    const store = await MetadataStore.open(join(base, 'store'), { rotateBytes: 64 * 1024 });
    let acknowledged = 0;
    const write = async (signal: AbortSignal): Promise<void> => {
      for (let more = 0; more < BESIDE && !signal.aborted; more++) {
        await insertBatches(store, acknowledged, acknowledged + 1);
        acknowledged++;
      }
    };
    let stop = new AbortController();
    let writing = Promise.resolve();
    const done: { target: string; atLeast: number; atMost: number }[] = [];
    try {
      for (let round = 0; round < 6; round++) {
        const target = join(base, `backup-${round}`);
        const atLeast = acknowledged;
        stop = new AbortController();
        writing = write(stop.signal);
        const merging = round % 2 === 0 ? store.merge() : undefined;
        const previous = round % 3 === 2 ? join(base, `backup-${round - 1}`) : undefined;
        const { records, lastSequence } = await store.backup(target, {
          verify: round % 2 === 1,
          incremental: previous,
        });
        done.push({ target, atLeast, atMost: acknowledged + 1 });
        stop.abort();
        expect(records).toBe(10 * Number(lastSequence));
        await Promise.all([merging, writing]);
      }
    } finally {
      stop.abort();
      await writing;
      await store.close();
    }
    for (const { target, atLeast, atMost } of done) {
      const found = await recordsIn(target);
      const count = found.size / 10;
      expectBatches(found, count);
      expect(count).toBeGreaterThanOrEqual(atLeast);
      expect(count).toBeLessThanOrEqual(atMost);
    }
  });
});

describe('a merge during a backup', () => {
  /** A file system that waits for a merge before the first call that `isDue` selects. */
  function mergingBefore(isDue: (call: 'open' | 'link' | 'read', path: string) => boolean): {
    fs: FileSystem;
    use: (store: MetadataStore) => void;
    merges: () => number;
  } {
    let store: MetadataStore | undefined;
    let merges = 0;
    const before = async (call: 'open' | 'link', path: string): Promise<void> => {
      if (store === undefined || merges > 0 || !isDue(call, path)) return;
      merges++;
      await store.merge();
    };
    const fs = Object.create(byPath) as {
      -readonly [Name in keyof FileSystem]: FileSystem[Name];
    };
    fs.open = async (path, mode) => {
      if (mode === 'r') await before('open', path);
      return byPath.open(path, mode);
    };
    fs.link = async (existing, path) => {
      await before('link', existing);
      return byPath.link(existing, path);
    };
    return { fs, use: (used) => (store = used), merges: () => merges };
  }

  test.each(['open', 'link'] as const)(
    "that removes files before the first %s does not affect the backup's state",
    async (when) => {
      const base = await temporaryDirectory();
      const { fs, use, merges } = mergingBefore((call) => call === when);
      const store = await openThrough(fs, join(base, 'store'), SMALL_LOGS);
      await insertBatches(store, 0, 100);
      await store.merge();
      await insertBatches(store, 100, 200);
      use(store);
      const { files } = await store.backup(join(base, 'backup'), { verify: true });
      expect(merges()).toBe(1);
      expect(await namesIn(join(base, 'store'), 'snapshot')).not.toContain(
        'snapshot_0000000000000002',
      );
      // Files opened in time are copied although they no longer have a name.
      if (when === 'link')
        expect(new Set(files.map((file) => file.origin))).toEqual(new Set(['copied']));
      expect(await recordsIn(join(base, 'backup'))).toEqual(batches(200));
      await store.close();
    },
  );
});

describe('without links', () => {
  test.each(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP'])('%s: everything is copied', async (code) => {
    const base = await temporaryDirectory();
    const fs = Object.create(byPath) as FileSystem & { link: FileSystem['link'] };
    fs.link = async (existing) => {
      throw systemFailure(code, existing);
    };
    const store = await openThrough(fs, join(base, 'store'), SMALL_LOGS);
    await insertBatches(store, 0, 100);
    const { files, bytes, copiedBytes } = await store.backup(join(base, 'backup'));
    expect(new Set(files.map((file) => file.origin))).toEqual(new Set(['copied']));
    expect(copiedBytes).toBe(bytes);
    await store.close();
    expect(await recordsIn(join(base, 'backup'))).toEqual(batches(100));
  });

  test('any other error is reported and leaves nothing', async () => {
    const base = await temporaryDirectory();
    const fs = Object.create(byPath) as FileSystem & { link: FileSystem['link'] };
    fs.link = async (existing) => {
      throw systemFailure('EIO', existing);
    };
    const store = await openThrough(fs, join(base, 'store'), SMALL_LOGS);
    await insertBatches(store, 0, 100);
    const backup = store.backup(join(base, 'backup'));
    await expect(backup).rejects.toMatchObject({ code: 'LODESTORE_IO', cause: { code: 'EIO' } });
    expect(readdirSync(base)).toEqual(['store']);
    await store.close();
  });
});

describe('an incremental backup', () => {
  /** Links only within the backups, as if the store were on another disk. */
  function withStoreElsewhere(directory: string): FileSystem {
    const fs = Object.create(byPath) as FileSystem & { link: FileSystem['link'] };
    fs.link = async (existing, path) => {
      if (existing.startsWith(directory)) throw systemFailure('EXDEV', existing);
      return byPath.link(existing, path);
    };
    return fs;
  }

  test('copies only new files and the last log', async () => {
    const base = await temporaryDirectory();
    const directory = join(base, 'store');
    const store = await openThrough(withStoreElsewhere(directory), directory, SMALL_LOGS);
    await insertBatches(store, 0, 50);
    await store.merge();
    await insertBatches(store, 50, 200);
    const [first, second, third] = ['1', '2', '3'].map((name) => join(base, name)) as [
      string,
      string,
      string,
    ];
    const one = await store.backup(first);
    expect(new Set(one.files.map((file) => file.origin))).toEqual(new Set(['copied']));
    await insertBatches(store, 200, 300);
    const two = await store.backup(second, { incremental: first, verify: true });
    const lastOfFirst = nth(one.files, -1).name;
    const known = new Set(one.files.map((file) => file.name));
    for (const { name, origin } of two.files) {
      const isReused = known.has(name) && name !== lastOfFirst;
      expect([name, origin]).toEqual([name, isReused ? 'reused' : 'copied']);
      if (isReused) expect(inodesIn(second).get(name)).toBe(inodesIn(first).get(name));
    }
    expect(two.copiedBytes).toBeLessThan(two.bytes);
    expect(await recordsIn(second)).toEqual(batches(300));
    await store.merge();
    const three = await store.backup(third, { incremental: second });
    expect(new Set(three.files.map((file) => file.origin))).toEqual(new Set(['copied']));
    await store.close();
    // Each backup is independent.
    renameSync(first, join(base, 'gone'));
    await restoreBackup(second, join(base, 'restored'));
    expect(await recordsIn(join(base, 'restored'))).toEqual(batches(300));
  });

  test.each([
    ['is changed', (first: string, name: string) => flipByte(first, name, 200)],
    ['is truncated', (first: string, name: string) => truncateSync(join(first, name), 100)],
    ['is missing', (first: string, name: string) => rmSync(join(first, name))],
  ] as const)('copies a file again that %s in the previous backup', async (_what, damage) => {
    const base = await temporaryDirectory();
    const directory = join(base, 'store');
    const store = await openThrough(withStoreElsewhere(directory), directory, SMALL_LOGS);
    await insertBatches(store, 0, 50);
    await store.merge();
    await insertBatches(store, 50, 200);
    const first = join(base, '1');
    const before = await store.backup(first);
    const [damaged, whole] = [nth(before.files, 0), nth(before.files, 1)];
    await damage(first, damaged.name);
    const { files } = await store.backup(join(base, '2'), { incremental: first });
    await store.close();
    const origins = new Map(files.map(({ name, origin }) => [name, origin]));
    expect(origins.get(damaged.name)).toBe('copied');
    expect(origins.get(whole.name)).toBe('reused');
    await restoreBackup(join(base, '2'), join(base, 'restored'));
    expect(await recordsIn(join(base, 'restored'))).toEqual(batches(200));
  });

  test('copies a file of the same name and length with different contents', async () => {
    const base = await temporaryDirectory();
    const make = async (name: string, value: number): Promise<MetadataStore> => {
      const directory = join(base, name);
      const store = await openThrough(withStoreElsewhere(directory), directory, SMALL_LOGS);
      await store.insertBatch([{ type: 'put', key: 1, value }]);
      await store.merge();
      return store;
    };
    // Two histories of one store, as after a restore: the store id is the same.
    const [a, b] = [await make('a', 1), await make('b', 2)];
    await a.backup(join(base, 'of-a'));
    const { files } = await b.backup(join(base, 'of-b'), { incremental: join(base, 'of-a') });
    expect(files.map((file) => file.origin)).toEqual(['copied']);
    expect(await recordsIn(join(base, 'of-b'))).toEqual(new Map([[1n, 2n]]));
    await a.close();
    await b.close();
  });

  test('refuses a previous backup that is none, unfinished, damaged, or of another store', async () => {
    const { base, store } = await filledStore();
    const other = await MetadataStore.open(join(base, 'other'));
    await other.backup(join(base, 'of-other'));
    await other.close();
    const target = join(base, 'backup');
    const codeWith = (incremental: string): Promise<unknown> =>
      failureOf(store.backup(target, { incremental }));
    expect(await codeWith(join(base, 'of-other'))).toMatchObject({ code: 'LODESTORE_BAD_TARGET' });
    expect(await codeWith(join(base, 'absent'))).toMatchObject({ code: 'LODESTORE_NOT_A_BACKUP' });
    expect(await codeWith(join(base, 'store'))).toMatchObject({ code: 'LODESTORE_NOT_A_BACKUP' });
    await store.backup(join(base, 'good'));
    await flipByte(join(base, 'good'), 'BACKUP.json', 40);
    expect(await codeWith(join(base, 'good'))).toMatchObject({ code: 'LODESTORE_CORRUPTION' });
    writeFileSync(join(base, 'good', 'lodestore.incomplete'), '');
    expect(await codeWith(join(base, 'good'))).toMatchObject({ code: 'LODESTORE_INCOMPLETE' });
    expect(readdirSync(base).sort()).toEqual(['good', 'of-other', 'other', 'store']);
    await store.close();
  });
});

describe('verify', () => {
  test('finds damage of linked files and leaves nothing', async () => {
    const { base, directory, store } = await filledStore();
    await flipByte(directory, 'snapshot_0000000000000001', 200);
    const backup = store.backup(join(base, 'backup'), { verify: true });
    await expect(backup).rejects.toMatchObject({ code: 'LODESTORE_CORRUPTION' });
    expect(readdirSync(base)).toEqual(['store']);
    await store.close();
  });

  test('finds a copy that opens but has other contents', async () => {
    const { base, store } = await filledStore();
    const partial = join(base, 'backup.partial');
    let looks = 0;
    const onProgress = ({ phase }: CopyProgress): void => {
      if (phase !== 'verify' || ++looks > 1) return;
      const last = readdirSync(partial).findLast((name) => name.startsWith('log_'))!;
      rmSync(join(partial, last));
    };
    const backup = store.backup(join(base, 'backup'), { verify: true, onProgress });
    await expect(backup).rejects.toMatchObject({
      code: 'LODESTORE_CORRUPTION',
      reason: expect.stringContaining('lastSequence') as string,
    });
    expect(readdirSync(base)).toEqual(['store']);
    await store.close();
  });

  test.each(['lastSequence', 'records', 'contentHash'] as const)('compares %s', (name) => {
    const copy = { lastSequence: 7n, records: 8, contentHash: 'f'.repeat(32) };
    const others = { lastSequence: 8n, records: 7, contentHash: '0'.repeat(32) };
    expect(() => requireSameContent('/b', copy, copy)).not.toThrow();
    expect(() => requireSameContent('/b', copy, {})).not.toThrow();
    const wanted = { ...copy, [name]: others[name] };
    expect(() => requireSameContent('/b', copy, wanted)).toThrow(new RegExp(`${name} is`));
  });

  test('reports the content hash, which is the same for equal records however they are stored', async () => {
    const { base, store } = await filledStore();
    const one = await store.backup(join(base, '1'), { verify: true });
    expect(await store.contentHash()).toMatchObject({ hash: one.contentHash, records: 2000 });
    await store.merge();
    const two = await store.backup(join(base, '2'), { verify: true });
    expect(two.contentHash).toBe(one.contentHash);
    await insertBatches(store, 200, 201);
    const three = await store.backup(join(base, '3'), { verify: true });
    expect(three.contentHash).not.toBe(one.contentHash);
    await store.close();
  });
});

describe('known damage', () => {
  const LOG = 'log_0000000000000002';

  test.each([
    ['a closed log is changed', (directory: string) => flipByte(directory, LOG, 300)],
    [
      'a chunk of the snapshot is changed',
      (directory: string) => flipByte(directory, 'snapshot_0000000000000001', 200),
    ],
  ] as const)('%s, and merges have stopped: refused, nothing is left', async (_what, damage) => {
    const { base, directory, store } = await filledStore();
    await damage(directory);
    await insertBatches(store, 200, 201);
    const met = await failureOf(store.merge());
    expect(store.stats().merges.state).toBe('stopped');
    for (const options of [{}, { verify: true }]) {
      const error = await failureOf(store.backup(join(base, 'backup'), options));
      expect(error).toBeInstanceOf(CorruptionError);
      expect(error).toMatchObject({ code: 'LODESTORE_CORRUPTION' });
      if (options.verify === undefined) {
        const { path, offset, reason } = met as CorruptionError;
        const hint = expect.stringMatching(/No backup has been made.*in memory.*entries\(\)/);
        expect(error).toMatchObject({ path, offset, reason, hint, cause: met });
      }
      expect(readdirSync(base)).toEqual(['store']);
    }
    expect(store.size).toBe(2010);
    await store.close();
  });

  test('a truncated closed log is reported as lost, the backup is refused, and nothing is left', async () => {
    const { base, directory, store } = await filledStore();
    truncateSync(join(directory, LOG), 200);
    const error = await failureOf(store.backup(join(base, 'backup')));
    expect(error).toMatchObject({ code: 'LODESTORE_FILES_LOST', path: join(directory, LOG) });
    expect(readdirSync(base)).toEqual(['store']);
    expect(store.size).toBe(2000);
    await store.close();
  });

  test('damage found during the backup refuses it and leaves nothing', async () => {
    const { base, directory, store } = await filledStore();
    let merging: Promise<unknown> | undefined;
    const fs = Object.create(byPath) as {
      -readonly [Name in keyof FileSystem]: FileSystem[Name];
    };
    await store.close();
    fs.syncDirectory = async (path) => {
      if (path.endsWith('.partial') && readdirSync(path).some((name) => name.startsWith('log_'))) {
        merging ??= flipByte(directory, LOG, 300).then(() => failureOf(opened.merge()));
        await merging;
      }
      return byPath.syncDirectory(path);
    };
    const opened = await openThrough(fs, directory, SMALL_LOGS);
    const error = await failureOf(opened.backup(join(base, 'backup')));
    expect(error).toMatchObject({ code: 'LODESTORE_CORRUPTION', path: join(directory, LOG) });
    expect(readdirSync(base)).toEqual(['store']);
    await opened.close();
  });

  test('after a temporary read error, a verified backup succeeds, and an unverified one is refused', async () => {
    const { base, directory, store } = await filledStore();
    await flipByte(directory, LOG, 300);
    await failureOf(store.merge());
    await flipByte(directory, LOG, 300);
    expect(await failureOf(store.backup(join(base, 'one')))).toBeInstanceOf(CorruptionError);
    const report = await store.backup(join(base, 'two'), { verify: true });
    expect(report.records).toBe(2000);
    expect(await recordsIn(join(base, 'two'))).toEqual(batches(200));
    await store.close();
  });
});

describe('an abort', () => {
  test('at any progress leaves nothing, and the store continues', async () => {
    const { base, store } = await filledStore();
    const steps: CopyProgress[] = [];
    await store.backup(join(base, 'whole'), {
      verify: true,
      onProgress: (progress) => steps.push(progress),
    });
    expect(nth(steps, 0)).toMatchObject({ phase: 'copy', doneBytes: 0 });
    expect(nth(steps, -1)).toMatchObject({ phase: 'verify' });
    expect(steps.every((step) => step.doneBytes <= step.totalBytes)).toBe(true);
    const copied = steps.findLast((step) => step.phase === 'copy')!;
    expect(copied.doneBytes).toBe(copied.totalBytes);
    for (let at = 1; at <= steps.length; at++) {
      const abort = new AbortController();
      let seen = 0;
      const onProgress = (): void => {
        if (++seen === at) abort.abort(new Error('enough'));
      };
      const options = { verify: true, signal: abort.signal, onProgress };
      const error = await failureOf(store.backup(join(base, 'backup'), options));
      expect(error).toMatchObject({ code: 'LODESTORE_ABORTED', cause: { message: 'enough' } });
      expect(readdirSync(base).sort()).toEqual(['store', 'whole']);
    }
    const before = { signal: AbortSignal.abort() };
    await expect(store.backup(join(base, 'backup'), before)).rejects.toMatchObject({
      name: 'AbortError',
    });
    await insertBatches(store, 200, 201);
    await store.close();
  });

  test('a close of the store aborts its backups', async () => {
    const { base, store } = await filledStore();
    let closing: Promise<void> | undefined;
    const onProgress = (): void => {
      closing ??= store.close();
    };
    const backup = store.backup(join(base, 'backup'), { verify: true, onProgress });
    await expect(backup).rejects.toMatchObject({ code: 'LODESTORE_CLOSED' });
    await closing;
    expect(readdirSync(base)).toEqual(['store']);
    await expect(store.backup(join(base, 'backup'))).rejects.toMatchObject({
      code: 'LODESTORE_CLOSED',
    });
  });

  test('a store that was opened read-only makes no backup', async () => {
    const { base, directory, store } = await filledStore();
    await store.close();
    const reader = await MetadataStore.open(directory, { readOnly: true });
    await expect(reader.backup(join(base, 'backup'))).rejects.toMatchObject({
      code: 'LODESTORE_READ_ONLY',
    });
    await reader.close();
  });
});

describe('the target', () => {
  test('may be an empty directory, or lie below missing directories', async () => {
    const { base, store } = await filledStore();
    mkdirSync(join(base, 'empty'));
    await store.backup(join(base, 'empty'));
    await store.backup(join(base, 'a', 'b', 'c'));
    expect(await recordsIn(join(base, 'empty'))).toEqual(batches(200));
    expect(await recordsIn(join(base, 'a', 'b', 'c'))).toEqual(batches(200));
    await store.close();
  });

  test('is refused if a disk is mounted there, and nothing is left', async () => {
    const base = await temporaryDirectory();
    const target = join(base, 'mounted');
    mkdirSync(target);
    const fs = Object.create(byPath) as {
      -readonly [Name in keyof FileSystem]: FileSystem[Name];
    };
    fs.removeDirectory = async (path) => {
      if (path === target) throw systemFailure('EBUSY', path);
      return byPath.removeDirectory(path);
    };
    const store = await openThrough(fs, join(base, 'store'), SMALL_LOGS);
    await expect(store.backup(target)).rejects.toMatchObject({
      code: 'LODESTORE_BAD_TARGET',
      message: expect.stringContaining('mounted') as string,
    });
    expect(readdirSync(base).sort()).toEqual(['mounted', 'store']);
    await store.close();
  });

  test('is never overwritten, and never inside the store', async () => {
    const { base, directory, store } = await filledStore();
    const file = join(base, 'file');
    writeFileSync(file, 'kept');
    await store.backup(join(base, 'backup'));
    const before = contentOf(join(base, 'backup'));
    const names = readdirSync(directory);
    for (const target of [
      file,
      join(base, 'backup'),
      directory,
      join(directory, 'backup'),
      join(directory, '..', 'store', 'x', 'y'),
      join(directory, '..x'),
    ]) {
      const error = await failureOf(store.backup(target));
      expect([target, error]).toMatchObject([target, { code: 'LODESTORE_BAD_TARGET' }]);
    }
    await expect(store.backup(join(file, 'backup'))).rejects.toMatchObject({
      code: 'LODESTORE_BAD_TARGET',
    });
    // A sibling whose name starts like the store's is outside.
    await store.backup(join(base, 'store-2'));
    await store.backup(join(base, '..store'));
    expect(readFileSync(file, 'utf8')).toBe('kept');
    expect(contentOf(join(base, 'backup'))).toEqual(before);
    expect(readdirSync(directory)).toEqual(expect.arrayContaining(names));
    await store.close();
  });

  test('is refused before any write if it is a symbolic link to nothing', async () => {
    const { base, store } = await filledStore();
    symlinkSync(join(base, 'nothing'), join(base, 'link'));
    await expect(store.backup(join(base, 'link'))).rejects.toMatchObject({
      code: 'LODESTORE_BAD_TARGET',
      message: expect.stringContaining('dangling symbolic link') as string,
    });
    expect(readdirSync(base).sort()).toEqual(['link', 'store']);
    await store.close();
  });

  test('may be a symbolic link to an empty directory, and the link stays', async () => {
    const { base, store } = await filledStore();
    const link = join(base, 'link');
    mkdirSync(join(base, 'disk', 'empty'), { recursive: true });
    symlinkSync(join(base, 'disk', 'empty'), link);
    const report = await store.backup(link);
    expect(report.target).toBe(link);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readdirSync(join(base, 'disk'))).toEqual(['empty']);
    expect(await recordsIn(link)).toEqual(batches(200));
    await restoreBackup(link, join(base, 'disk', 'restored'));
    await store.close();
  });

  test('is refused if a symbolic link leads into the store', async () => {
    const { base, directory, store } = await filledStore();
    symlinkSync(directory, join(base, 'link'));
    const names = readdirSync(directory);
    for (const target of [join(base, 'link', 'backup'), join(base, 'link')]) {
      await expect(store.backup(target)).rejects.toMatchObject({ code: 'LODESTORE_BAD_TARGET' });
    }
    expect(readdirSync(directory)).toEqual(names);
    await store.close();
  });

  test('is never inside the previous backup', async () => {
    const { base, store } = await filledStore();
    const incremental = join(base, 'one');
    await store.backup(incremental);
    const before = readdirSync(incremental);
    for (const name of ['two', '..two']) {
      const backup = store.backup(join(incremental, name), { incremental });
      await expect(backup).rejects.toMatchObject({ code: 'LODESTORE_BAD_TARGET' });
    }
    expect(readdirSync(incremental)).toEqual(before);
    await store.close();
  });

  test.each(['', 'a\0b', undefined, 7])('%j is not a path', async (target) => {
    const { base, store } = await filledStore();
    await expect(store.backup(target as string)).rejects.toThrow(TypeError);
    const incremental = target as string;
    if (target !== undefined) {
      await expect(store.backup(join(base, 'b'), { incremental })).rejects.toThrow(TypeError);
    }
    await store.close();
  });

  test('is refused for a second backup while the first writes to it', async () => {
    const { base, store } = await filledStore();
    const target = join(base, 'backup');
    const [one, two] = await Promise.allSettled([store.backup(target), store.backup(target)]);
    const results = [one, two].map((result) =>
      result.status === 'fulfilled' ? 'done' : (result.reason as { code: string }).code,
    );
    expect(results).toContain('done');
    expect(results.some((code) => /LOCKED|BAD_TARGET/.test(code))).toBe(true);
    expect(await recordsIn(target)).toEqual(batches(200));
    expect(readdirSync(base).sort()).toEqual(['backup', 'store']);
    await store.close();
  });
});

describe('the files of an interrupted run', () => {
  test.each([
    ['nothing yet', []],
    ['only its marker', ['lodestore.incomplete']],
    // As left by earlier versions.
    ['only its lock', ['lodestore.lock']],
  ])('is taken over: %s', async (_what, names) => {
    const { base, store } = await filledStore();
    const partial = join(base, 'backup.partial');
    mkdirSync(partial);
    for (const name of names) writeFileSync(join(partial, name), '');
    await store.backup(join(base, 'backup'));
    expect(readdirSync(base).sort()).toEqual(['backup', 'store']);
    expect(await recordsIn(join(base, 'backup'))).toEqual(batches(200));
    await store.close();
  });

  test('are refused by open and restore and taken over by the next run', async () => {
    const { base, store } = await filledStore();
    const partial = join(base, 'backup.partial');
    await store.backup(partial);
    renameSync(join(partial, 'BACKUP.json'), join(partial, 'lodestore.incomplete'));
    for (const readOnly of [true, false]) {
      await expect(MetadataStore.open(partial, { readOnly })).rejects.toMatchObject({
        code: 'LODESTORE_INCOMPLETE',
        message: expect.stringContaining('is incomplete') as string,
      });
    }
    await expect(restoreBackup(partial, join(base, 'restored'))).rejects.toMatchObject({
      code: 'LODESTORE_INCOMPLETE',
    });
    await store.backup(join(base, 'backup'));
    expect(readdirSync(base).sort()).toEqual(['backup', 'store']);
    await store.close();
  });

  test('are not confused with a finished backup, a store, or foreign files', async () => {
    const { base, store } = await filledStore();
    const partial = join(base, 'backup.partial');
    const target = join(base, 'backup');
    await store.backup(partial);
    await expect(store.backup(target)).rejects.toMatchObject({
      code: 'LODESTORE_BAD_TARGET',
      message: expect.stringContaining('complete backup') as string,
    });
    expect(await recordsIn(partial)).toEqual(batches(200));
    renameSync(join(partial, 'BACKUP.json'), join(base, 'elsewhere'));
    await expect(store.backup(target)).rejects.toMatchObject({ code: 'LODESTORE_BAD_TARGET' });
    expect(await recordsIn(partial)).toEqual(batches(200));
    renameSync(join(base, 'elsewhere'), join(partial, 'lodestore.incomplete'));
    writeFileSync(join(partial, 'thesis.txt'), 'mine');
    await expect(store.backup(target)).rejects.toMatchObject({ code: 'LODESTORE_BAD_TARGET' });
    expect(readFileSync(join(partial, 'thesis.txt'), 'utf8')).toBe('mine');
    await store.close();
  });
});
