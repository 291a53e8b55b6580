import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readlinkSync, rmdirSync } from 'node:fs';
import { mkdir, readdir, realpath, rename, rm, symlink, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import { LEASE_NAME, QUARANTINE_NAME } from '../../src/format/file-name.ts';
import { NodeFileSystem } from '../../src/fs/node-file-system.ts';
import {
  DirectoryLostError,
  MetadataStore,
  restoreBackup,
  type StoreError,
  type Update,
} from '../../src/index.ts';
import { simulatedEnvironment } from '../../src/testing/open-on.ts';
import { programPath } from '../support/program.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { openStoreIn } from '../../src/store/metadata-store.ts';

const isLinux = process.platform === 'linux';

function updateOf(key: number): Update {
  return { type: 'put', key: BigInt(key), value: BigInt(key + 1), data: new Uint8Array(8) };
}

/** Writes each key in a separate batch, with rotations and a merge between them. */
async function write(store: MetadataStore, keys: readonly number[]): Promise<void> {
  for (const [i, key] of keys.entries()) {
    await store.insertBatch([updateOf(key)]);
    if (i === 1) await store.merge();
  }
}

async function keysIn(directory: string): Promise<number[]> {
  const store = await MetadataStore.open(directory, { readOnly: true });
  try {
    return [...store.keys()].map(Number);
  } finally {
    await store.close();
  }
}

/** The descriptors of this process at or below `path`. */
function descriptorsIn(path: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((number) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${number}`);
      return target.startsWith(path) ? [target] : [];
    } catch {
      return [];
    }
  });
}

async function room(): Promise<{ readonly home: string; readonly directory: string }> {
  const home = await realpath(await temporaryDirectory());
  const directory = join(home, 'store');
  await mkdir(directory);
  return { home, directory };
}

const FIRST = [1, 2, 3];
const LATER = [4, 5, 6, 7];

describe.runIf(isLinux)('the directory of an open store keeps working', () => {
  test('when it is renamed', async () => {
    const { home, directory } = await room();
    const store = await MetadataStore.open(directory);
    await write(store, FIRST);
    await rename(directory, join(home, 'moved'));
    await write(store, LATER);
    await store.close();
    expect(await readdir(home)).toEqual(['moved']);
    expect(await keysIn(join(home, 'moved'))).toEqual([...FIRST, ...LATER]);
  });

  test('when another directory, or another store, takes its path', async () => {
    const { home, directory } = await room();
    const store = await MetadataStore.open(directory);
    await write(store, FIRST);
    await rename(directory, join(home, 'moved'));
    await mkdir(directory);
    await write(store, LATER);
    expect(await readdir(directory)).toEqual([]);
    const other = await MetadataStore.open(directory);
    await write(other, [8, 9]);
    await write(store, [10, 11, 12]);
    await write(other, [13, 14]);
    await Promise.all([store.close(), other.close()]);
    expect(await keysIn(directory)).toEqual([8, 9, 13, 14]);
    expect(await keysIn(join(home, 'moved'))).toEqual([...FIRST, ...LATER, 10, 11, 12]);
  });

  test.each(['the last name of its path', 'a name above it'])(
    'when %s is a symbolic link that is replaced',
    async (where) => {
      const { home } = await room();
      for (const side of ['a', 'b']) await mkdir(join(home, side, 'store'), { recursive: true });
      const isLast = where.startsWith('the last');
      const link = join(home, 'link');
      const point = async (side: string): Promise<void> => {
        await rm(link, { force: true });
        await symlink(isLast ? join(home, side, 'store') : join(home, side), link);
      };
      await point('a');
      const path = isLast ? link : join(link, 'store');
      const store = await MetadataStore.open(path);
      await write(store, FIRST);
      await point('b');
      await write(store, LATER);
      expect(store.stats().directory).toBe(join(home, 'a', 'store'));
      await store.close();
      expect(await readdir(join(home, 'b', 'store'))).toEqual([]);
      expect(await keysIn(join(home, 'a', 'store'))).toEqual([...FIRST, ...LATER]);
    },
  );

  test('and a salvage keeps the damaged originals in it', async () => {
    const { home, directory } = await room();
    const filled = await MetadataStore.open(directory);
    await write(filled, FIRST);
    await filled.close();
    const [log] = (await readdir(directory)).filter((name) => name.startsWith('log_'));
    await truncate(join(directory, log!), 150);
    const fs = new NodeFileSystem();
    const makeDirectory = fs.makeDirectory.bind(fs);
    fs.makeDirectory = async (path) => {
      await makeDirectory(path);
      if (!path.endsWith(QUARANTINE_NAME)) return;
      await rename(directory, join(home, 'moved'));
      await mkdir(directory);
    };
    const store = await openStoreIn(simulatedEnvironment(fs), directory, {
      recovery: 'salvage',
    });
    await store.close();
    expect(await readdir(directory)).toEqual([]);
    const kept = await readdir(join(home, 'moved', QUARANTINE_NAME));
    expect(kept.sort()).toEqual(['SALVAGE.json', log]);
    expect(await keysIn(join(home, 'moved'))).toEqual([1, 2]);
  });

  test('and a backup follows it, while the target is resolved at the start', async () => {
    const { home, directory } = await room();
    await mkdir(join(home, 'backups'));
    const store = await MetadataStore.open(directory);
    await write(store, FIRST);
    await rename(directory, join(home, 'moved'));
    await mkdir(directory);
    let isMoved = false;
    const moving: Promise<void>[] = [];
    await store.backup(join(home, 'backups', 'one'), {
      verify: true,
      onProgress: () => {
        if (isMoved) return;
        isMoved = true;
        moving.push(rename(join(home, 'backups'), join(home, 'other')));
      },
    });
    await Promise.all(moving);
    await store.close();
    expect(await readdir(directory)).toEqual([]);
    expect(await keysIn(join(home, 'other', 'one'))).toEqual(FIRST);
  });

  test('and a backup beside it takes no file of the store that took its path', async () => {
    const { home, directory } = await room();
    const store = await MetadataStore.open(directory);
    await write(store, FIRST);
    await rename(directory, join(home, 'moved'));
    await mkdir(directory);
    const other = await MetadataStore.open(directory);
    await write(other, [8, 9, 10]);
    const { files } = await store.backup(join(home, 'backup'));
    const names = await readdir(directory);
    expect(names).toEqual(expect.arrayContaining(files.map(({ name }) => name)));
    expect(files.map(({ origin }) => origin)).toContain('linked');
    await Promise.all([store.close(), other.close()]);
    await restoreBackup(join(home, 'backup'), join(home, 'restored'));
    expect(await keysIn(join(home, 'restored'))).toEqual(FIRST);
  });

  test('and no backup is written into it, by its old path or by its new one', async () => {
    const { home, directory } = await room();
    const store = await MetadataStore.open(directory);
    await write(store, FIRST);
    await rename(directory, join(home, 'moved'));
    await mkdir(directory);
    for (const name of ['store', 'moved']) {
      const backup = store.backup(join(home, name, 'backup'));
      await expect(backup).rejects.toMatchObject({ code: 'LODESTORE_BAD_TARGET' });
    }
    await store.close();
    expect(await readdir(directory)).toEqual([]);
    expect(await readdir(join(home, 'moved'))).not.toContain('backup');
  });
});

/** Experimental in Node 20, stable in later versions. */
const PERMISSION = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission';

test.runIf(isLinux)(
  "under Node's permission model the directory is reached by its path",
  async () => {
    const { home, directory } = await room();
    const store = await MetadataStore.open(directory);
    await write(store, FIRST);
    await store.close();
    const root = fileURLToPath(new URL('../..', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [
      PERMISSION,
      ...[root, home].map((path) => `--allow-fs-read=${join(path, '*')}`),
      '--allow-worker',
      '--allow-addons',
      programPath('permission-reader'),
      directory,
    ]);
    expect(JSON.parse(stdout)).toEqual({ isByPath: true, keys: FIRST });
  },
);

function canMount(): boolean {
  const probe = mkdtempSync(join(tmpdir(), 'lodestore-mount-'));
  try {
    execFileSync('mount', ['--bind', probe, probe], { stdio: 'ignore' });
    execFileSync('umount', [probe]);
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(probe);
  }
}

test.runIf(isLinux && process.getuid?.() === 0 && canMount())(
  'another file system mounted over the directory gets none of its names',
  async () => {
    const { home, directory } = await room();
    await mkdir(join(home, 'over'));
    const store = await MetadataStore.open(directory);
    await write(store, FIRST);
    execFileSync('mount', ['--bind', join(home, 'over'), directory]);
    try {
      await write(store, LATER);
      expect(await readdir(directory)).toEqual([]);
      await store.close();
    } finally {
      execFileSync('umount', [directory]);
    }
    expect(await readdir(join(home, 'over'))).toEqual([]);
    expect(await keysIn(directory)).toEqual([...FIRST, ...LATER]);
  },
);

test.runIf(isLinux)(
  'a relative path is resolved in the working directory at the open',
  async () => {
    const { home, directory } = await room();
    const before = process.cwd();
    const chdir = vi.spyOn(process, 'cwd').mockReturnValue(home);
    const store = await MetadataStore.open('store');
    chdir.mockReturnValue(before);
    await write(store, FIRST);
    await store.close();
    chdir.mockRestore();
    expect(await keysIn(directory)).toEqual(FIRST);
  },
);

describe.runIf(isLinux)('a removed directory', () => {
  test('refuses calls that need a new name before an acknowledgement', async () => {
    const { directory } = await room();
    const store = await MetadataStore.open(directory);
    const poisoned = new Promise((resolve) => store.once('poisoned', resolve));
    await rm(directory, { recursive: true });
    const refused = await store.insertBatch([updateOf(1)]).then(
      () => store.merge().catch((error: unknown) => error),
      (error: unknown) => error,
    );
    expect(refused).toBeInstanceOf(DirectoryLostError);
    expect(refused).toMatchObject({ code: 'LODESTORE_DIRECTORY_LOST', path: directory });
    await expect(poisoned).resolves.toBeInstanceOf(DirectoryLostError);
    const error: unknown = await store.insertBatch([updateOf(2)]).catch((one: unknown) => one);
    expect(error).toMatchObject({ code: 'LODESTORE_DIRECTORY_LOST', outcome: 'not-applied' });
    await store.close().catch(() => undefined);
  });
});

describe('without descriptor paths', () => {
  const environment = simulatedEnvironment(new NodeFileSystem('by-path'));
  const open = (directory: string): Promise<MetadataStore> => openStoreIn(environment, directory);

  test('a store works like any other', async () => {
    const { directory } = await room();
    const store = await open(directory);
    await write(store, [...FIRST, ...LATER]);
    await store.close();
    expect(await keysIn(directory)).toEqual([...FIRST, ...LATER]);
  });

  test.each(['renamed', 'replaced'])(
    'a directory that was %s is refused before an acknowledgement',
    async (how) => {
      const { home, directory } = await room();
      const store = await open(directory);
      await write(store, FIRST);
      await rename(directory, join(home, 'moved'));
      if (how === 'replaced') await mkdir(directory);
      const acknowledged: number[] = [];
      const unknown: number[] = [];
      let refusal: unknown;
      for (const key of LATER) {
        await store.insertBatch([updateOf(key)]).then(
          () => acknowledged.push(key),
          (error: StoreError) => {
            refusal ??= error;
            if (error.outcome === 'unknown') unknown.push(key);
          },
        );
        await store.merge().catch((error: unknown) => (refusal ??= error));
      }
      expect(refusal).toBeInstanceOf(DirectoryLostError);
      await store.close().catch(() => undefined);
      if (how === 'replaced') expect(await readdir(directory)).toEqual([]);
      // The write went into the log through its descriptor and was not acknowledged.
      expect(await keysIn(join(home, 'moved'))).toEqual([...FIRST, ...acknowledged, ...unknown]);
    },
  );
});

test.runIf(isLinux)('an open leaves no descriptor after success or failure', async () => {
  const { home, directory } = await room();
  for (let round = 0; round < 3; round++) {
    const store = await MetadataStore.open(directory);
    expect(descriptorsIn(home)).toContain(directory);
    await write(store, FIRST);
    await store.backup(join(home, `backup-${round}`));
    const locked = await MetadataStore.open(directory).catch((error: unknown) => error);
    expect(locked).toMatchObject({ code: 'LODESTORE_LOCKED' });
    await store.close();
    expect(descriptorsIn(home)).toEqual([]);
    expect(await readdir(directory)).not.toContain(LEASE_NAME);
  }
  await rm(directory, { recursive: true });
  await mkdir(directory);
  await expect(MetadataStore.open(directory, { createIfMissing: false })).rejects.toMatchObject({
    code: 'LODESTORE_NOT_FOUND',
  });
  expect(descriptorsIn(home)).toEqual([]);
});
