import { describe, expect, test } from 'vitest';
import { DirectoryLostError } from '../../src/base/errors.ts';
import { Directory } from '../../src/fs/directory.ts';
import type { MetadataStore } from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';

function machine(directoryAccess: 'by-descriptor' | 'by-path'): CrashFs {
  return new CrashFs({ directoryAccess });
}

async function insert(store: MetadataStore, keys: readonly number[]): Promise<void> {
  for (const key of keys) {
    const data = new Uint8Array(1);
    await store.insertBatch([{ type: 'put', key: BigInt(key), value: 1n, data }]);
    await store.merge();
  }
}

async function keysOn(fs: CrashFs, directory: string): Promise<number[]> {
  const store = await openOn(fs, directory);
  const keys = [...store.keys()].map(Number);
  await store.close();
  return keys;
}

describe('a simulated directory that is renamed and replaced while its store is open', () => {
  test('keeps working by its descriptor, and keeps acknowledged batches through a crash', async () => {
    const fs = machine('by-descriptor');
    const store = await openOn(fs, '/s');
    await insert(store, [1, 2]);
    await fs.rename('/s', '/moved');
    await fs.makeDirectory('/s');
    await fs.syncDirectory('/');
    await insert(store, [3, 4]);
    expect(await fs.readDirectory('/s')).toEqual([]);
    const crashed = fs.minimalCrash();
    crashed.leases.break('/s/lodestore.lease');
    expect(await keysOn(crashed, '/moved')).toEqual([1, 2, 3, 4]);
    await store.close();
    expect(fs.heldDirectoryCount).toBe(0);
  });

  test('is refused by its path, and has all acknowledged batches', async () => {
    const fs = machine('by-path');
    const store = await openOn(fs, '/s');
    await insert(store, [1, 2]);
    await fs.rename('/s', '/moved');
    await fs.makeDirectory('/s');
    await fs.syncDirectory('/');
    // The lock file is missed before anything of the first batch is written.
    const error: unknown = await insert(store, [3, 4]).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DirectoryLostError);
    expect(error).toMatchObject({ outcome: 'not-applied' });
    expect(await fs.readDirectory('/s')).toEqual([]);
    expect([...store.keys()].map(Number)).toEqual([1, 2]);
    const crashed = fs.minimalCrash();
    crashed.leases.break('/s/lodestore.lease');
    expect(await keysOn(crashed, '/moved')).toEqual([1, 2]);
    await store.close().catch(() => undefined);
    expect(fs.heldDirectoryCount).toBe(0);
  });
});

describe('a directory', () => {
  test('waits for calls in flight before it closes its descriptor, and accepts none afterwards', async () => {
    const fs = CrashFs.withFiles({ '/a/f': new Uint8Array(1), '/b/g': new Uint8Array(1) });
    const directory = await Directory.open(fs, '/a');
    const { access } = directory.reference;
    const listing = directory.readDirectory('/a');
    const closing = directory.close();
    expect(fs.heldDirectoryCount).toBe(1);
    await closing;
    expect((await listing).map(({ name }) => name)).toEqual(['f']);
    await expect(directory.stat('/a/f')).rejects.toThrow('a closed directory is not used');
    // The number is used again: the path leads elsewhere.
    const other = await Directory.open(fs, '/b');
    expect(other.reference.access).toBe(access);
    await expect(fs.stat(`${access}/f`)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('is shared by its identity, not by a reused descriptor number', async () => {
    const fs = CrashFs.withFiles({ '/a/f': new Uint8Array(1), '/b/g': new Uint8Array(1) });
    const directory = await Directory.open(fs, '/a');
    const { reference } = directory;
    await fs.rename('/a', '/moved');
    const shared = await Directory.share(fs, reference);
    expect(shared.realPath).toBe('/a');
    expect((await shared.stat('/a/f')).sizeBytes).toBe(1);
    await shared.close();
    await directory.close();
    await Directory.open(fs, '/b');
    await expect(Directory.share(fs, reference)).rejects.toBeInstanceOf(DirectoryLostError);
    expect(fs.heldDirectoryCount).toBe(1);
  });

  test('has its real path in errors, and passes other paths on', async () => {
    const fs = CrashFs.withFiles({ '/a/f': new Uint8Array(1), '/b/g': new Uint8Array(1) });
    const directory = await Directory.open(fs, '/a');
    await expect(directory.open('/a/none', 'r')).rejects.toMatchObject({
      code: 'ENOENT',
      path: '/a/none',
      message: expect.not.stringContaining('/proc/') as string,
    });
    expect((await directory.stat('/b/g')).sizeBytes).toBe(1);
    await directory.link('/b/g', '/a/g');
    expect((await fs.stat('/a/g')).sizeBytes).toBe(1);
    await directory.close();
  });

  test.each(['the outer one', 'the inner one'])(
    'opened through another one leaves each path to the nearer of the two (%s was opened first)',
    async (first) => {
      const fs = CrashFs.withFiles({ '/d/s/f': new Uint8Array(1), '/d/t/f': new Uint8Array(2) });
      const paths = first === 'the outer one' ? ['/d', '/d/s'] : ['/d/s', '/d'];
      const opened = await Directory.open(fs, paths[0]!);
      const both = await Directory.open(opened, paths[1]!);
      await fs.rename('/d/s', '/d/moved');
      await fs.rename('/d/t', '/d/s');
      expect((await both.stat('/d/s/f')).sizeBytes).toBe(1);
      await both.link('/d/s/f', '/d/g');
      expect((await fs.stat('/d/g')).sizeBytes).toBe(1);
      await both.link('/d/g', '/d/s/h');
      expect(await both.readDirectory('/d/s')).toHaveLength(2);
      expect(await fs.readDirectory('/d/moved')).toHaveLength(2);
      both.blocking!.unlink('/d/s/h');
      expect(await fs.readDirectory('/d/moved')).toHaveLength(1);
      expect(await fs.readDirectory('/d/s')).toHaveLength(1);
      await both.close();
      await opened.close();
    },
  );

  test.each(['by-descriptor', 'by-path'] as const)(
    'that was removed takes no names (%s)',
    async (directoryAccess) => {
      const fs = machine(directoryAccess);
      await fs.makeDirectory('/a');
      const lost: unknown[] = [];
      const directory = await Directory.open(fs, '/a', (error) => lost.push(error));
      await directory.requireHeld();
      await fs.removeDirectory('/a');
      const calls = [
        directory.requireHeld(),
        directory.open('/a/f', 'wx'),
        directory.rename('/a/f', '/a/g'),
        directory.unlink('/a/f'),
        directory.syncDirectory('/a'),
        directory.makeDirectory('/a/d'),
        directory.removeDirectory('/a/d'),
        directory.tryLock('/a/lock'),
      ];
      const results = await Promise.allSettled(calls);
      for (const result of results) {
        expect(result).toMatchObject({ reason: { code: 'LODESTORE_DIRECTORY_LOST', path: '/a' } });
      }
      expect(lost).toHaveLength(calls.length);
      await directory.close();
    },
  );

  test('whose path leads elsewhere makes, changes and removes no name there (by-path)', async () => {
    const fs = machine('by-path');
    await fs.makeDirectory('/a');
    const directory = await Directory.open(fs, '/a');
    await fs.rename('/a', '/moved');
    await fs.makeDirectory('/a');
    const kept = await fs.open('/a/kept', 'wx');
    await kept.close();
    const calls = [
      directory.open('/a/f', 'wx'),
      directory.makeDirectory('/a/d'),
      directory.rename('/a/kept', '/a/g'),
      directory.link('/a/kept', '/a/h'),
      directory.unlink('/a/kept'),
    ];
    for (const result of await Promise.allSettled(calls)) {
      expect(result).toMatchObject({ reason: { code: 'LODESTORE_DIRECTORY_LOST', path: '/a' } });
    }
    expect((await fs.readDirectory('/a')).map(({ name }) => name)).toEqual(['kept']);
    await directory.close();
  });
});
