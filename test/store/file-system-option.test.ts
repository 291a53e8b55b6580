import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nodeFileSystem, type FileSystem } from '../../src/fs/index.ts';
import { MetadataStore, StoreLockedError, type OpenOptions } from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

test('a store opens and merges on the given file system', async () => {
  const fileSystem = new CrashFs();
  const store = await MetadataStore.open('/meta', { fileSystem });
  await store.put(1, 2, Uint8Array.of(3));
  await store.merge();
  await store.put(4, 5);
  await expect(MetadataStore.open('/meta', { fileSystem })).rejects.toThrow(StoreLockedError);
  const files = [...fileSystem.files().keys()].filter((path) => path.startsWith('/meta/snapshot'));
  expect(files).toHaveLength(1);
  const crashed = await MetadataStore.open('/meta', { fileSystem: fileSystem.minimalCrash() });
  expect([...crashed.keys()]).toEqual([1n, 4n]);
  await crashed.close();
  await store.close();
});

test('a wrapper of the real file system sees each call, also on this thread', async () => {
  const directory = join(await temporaryDirectory(), 'store');
  const opened: string[] = [];
  const fileSystem = new Proxy<FileSystem>(nodeFileSystem, {
    get: (target, name: keyof FileSystem) => {
      const member = target[name];
      if (name === 'open') {
        return (...args: Parameters<FileSystem['open']>) => {
          opened.push(args[0]);
          return target.open(...args);
        };
      }
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  const store = await MetadataStore.open(directory, { fileSystem });
  await store.put(1, 2);
  await store.merge();
  await store.close();
  expect(opened.some((path) => path.endsWith('.tmp'))).toBe(true);
  const again = await MetadataStore.open(directory, { fileSystem: nodeFileSystem });
  expect(again.size).toBe(1);
  await again.close();
});

test('an object that is no file system is a TypeError that names what it lacks', async () => {
  const options = { fileSystem: { open: () => undefined } } as unknown as OpenOptions;
  await expect(MetadataStore.open('/meta', options)).rejects.toThrow(
    new TypeError('options.fileSystem must be a FileSystem; it has no function readDirectory'),
  );
  const none = { fileSystem: null } as unknown as OpenOptions;
  await expect(MetadataStore.open('/meta', none)).rejects.toThrow(/it has no function open/);
  const twice = { fileSystem: new CrashFs() } as object;
  await expect(openOn(new CrashFs(), '/meta', twice)).rejects.toThrow(/its first argument/);
});
