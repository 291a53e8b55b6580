import type { FileSystem } from '../fs/file-system.ts';
import { openStoreIn, type MetadataStore } from '../store/metadata-store.ts';
import type { StoreEnvironment } from '../store/open/environment.ts';
import type { OpenOptions } from '../store/open/options.ts';
import { InlineRunner } from '../threads/job-runner.ts';

/**
 * As `MetadataStore.open` with `fileSystem`, but repeatable: ids and owner records are not random,
 * and no call waits for the event loop.
 */
export function openOn(
  fileSystem: FileSystem,
  directory: string,
  options: Omit<OpenOptions, 'fileSystem'> = {},
): Promise<MetadataStore> {
  if ((options as OpenOptions | null)?.fileSystem !== undefined) {
    return Promise.reject(new TypeError('openOn takes the file system as its first argument'));
  }
  return openStoreIn(simulatedEnvironment(fileSystem), directory, options);
}

/** The environment of a store on a simulated file system. */
export function simulatedEnvironment(fileSystem: FileSystem): StoreEnvironment {
  return {
    fileSystem,
    makeRunner: (directory) => new InlineRunner(directory),
    pause: () => Promise.resolve(),
    sliceMs: 0,
    identity: () =>
      Promise.resolve({
        pid: 1,
        processStartTicks: 1,
        bootId: 'simulated',
        machineId: 'simulated',
        hostName: 'simulated',
      }),
    randomBytes: (lengthBytes) => new Uint8Array(lengthBytes).fill(0x5a),
    ownerStamp: { nonce: 'simulated', openedAtMs: 0 },
  };
}
