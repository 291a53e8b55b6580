import type { FileLock, FileSystem } from '../../src/fs/file-system.ts';
import { MetadataStore, type OpenOptions } from '../../src/index.ts';
import { simulatedEnvironment } from '../../src/testing/open-on.ts';
import { openStoreIn } from '../../src/store/metadata-store.ts';

/** The same directory as seen by another host, without this host's kernel locks. */
export function seenElsewhere(fs: FileSystem): FileSystem {
  const tryLock = async (path: string): Promise<FileLock | undefined> => {
    const lock = await fs.tryLock(`${path}.elsewhere`);
    if (lock === undefined) return undefined;
    const file = await fs.open(path, 'r+');
    return {
      writeRecord: async (record) => {
        await file.write(record, 0);
      },
      writeClaim: async (sector, position) => {
        await file.write(sector, position);
      },
      writeNote: async (sector, position) => {
        await file.write(sector, position);
      },
      release: async () => {
        await file.close();
        await lock.release();
      },
    };
  };
  return new Proxy(fs, {
    get: (target, name) => {
      if (name === 'tryLock') return tryLock;
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

/** Opens the store on another simulated host. */
export function openElsewhere(
  fs: FileSystem,
  directory: string,
  options: OpenOptions = {},
): Promise<MetadataStore> {
  const elsewhere = {
    pid: 7,
    processStartTicks: 7,
    bootId: 'b',
    machineId: 'm',
    hostName: 'other',
  };
  const environment = {
    ...simulatedEnvironment(seenElsewhere(fs)),
    identity: () => Promise.resolve(elsewhere),
    ownerStamp: { nonce: 'of another host', openedAtMs: 1 },
  };
  return openStoreIn(environment, directory, options);
}
