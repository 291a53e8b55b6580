import { constants } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { requireNative } from '../base/native-package.ts';
import { setImmediate } from '../base/timers.ts';
import { closeDescriptor, openDescriptor } from './descriptor.ts';
import type { FileLock } from './file-system.ts';
import { NodeOpenFile } from './node-open-file.ts';
import { writeFully } from './write.ts';

/**
 * The byte that is locked lies beyond any record, so that the record can be read where locks are
 * mandatory, as on Windows. A lock needs no byte to exist there.
 */
const LOCK_OFFSET = 0x4000_0000;
const LOCK_LENGTH_BYTES = 1;

/**
 * Locks a byte range of an open descriptor; false when another open file description has it locked.
 */
export type LockDescriptor = (descriptor: number, offset: number, lengthBytes: number) => boolean;

/**
 * Takes an open-file-description lock on the file at `path`, which is made if it is not there and
 * is never removed: a new file under the same name would carry a lock of its own.
 *
 * Resolves `undefined` while somebody else holds the lock. Rejects with the system's error, among
 * them `ENOLCK` and `ENOTSUP` of a file system without locks: going on without one would let two
 * writers in.
 */
export async function tryKernelLock(
  path: string,
  lockDescriptor?: LockDescriptor,
): Promise<FileLock | undefined> {
  const lock = lockDescriptor ?? (await nativeLock());
  const descriptor = await openDescriptor(path, constants.O_RDWR | constants.O_CREAT);
  try {
    if (lock(descriptor, LOCK_OFFSET, LOCK_LENGTH_BYTES)) return new KernelLock(descriptor);
  } catch (error) {
    await closeDescriptor(descriptor);
    throw error;
  }
  await closeDescriptor(descriptor);
  return undefined;
}

async function nativeLock(): Promise<LockDescriptor> {
  const { tryLock } = requireNative(
    'fs-native-extensions',
  ) as typeof import('fs-native-extensions');
  return tryLock;
}

/** The descriptor is the lock: closing it, or the death of the process, sets it free. */
class KernelLock implements FileLock {
  readonly #file: NodeOpenFile;
  #released: Promise<void> | undefined = undefined;

  constructor(descriptor: number) {
    this.#file = new NodeOpenFile(descriptor, 'none');
  }

  writeRecord(record: Uint8Array): Promise<void> {
    return this.#write(record, 0);
  }

  writeClaim(sector: Uint8Array, position: number): Promise<void> {
    return this.#write(sector, position);
  }

  writeNote(sector: Uint8Array, position: number): Promise<void> {
    return writeFully(this.#file, sector, position);
  }

  async #write(bytes: Uint8Array, position: number): Promise<void> {
    await writeFully(this.#file, bytes, position);
    await this.#file.dataSync();
  }

  release(): Promise<void> {
    this.#released ??= this.#file.close();
    return this.#released;
  }
}

// Loading it takes a third of an open of a small store: begun before anybody waits for it. Threads
// take no lock; whoever cannot load it is told when a lock is asked for.
if (isMainThread) {
  setImmediate(() => {
    nativeLock().catch(() => undefined);
  }).unref();
}
