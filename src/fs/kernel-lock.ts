import { constants, fstatSync, statSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { systemCode } from '../base/errors.ts';
import { requireNative } from '../base/native-package.ts';
import { monotonicMs, setImmediate } from '../base/timers.ts';
import { closeDescriptor, openFileDescriptor } from './descriptor.ts';
import type { FileLock } from './file-system.ts';
import { NodeOpenFile } from './node-open-file.ts';
import { writeFully } from './write.ts';

/**
 * The locked byte is beyond any record, so that the record is readable where locks are mandatory,
 * as on Windows. The byte need not exist.
 */
const LOCK_OFFSET = 0x4000_0000;
const LOCK_LENGTH_BYTES = 1;

/**
 * Locks a byte range of an open descriptor. False if another open file description has locked it.
 */
export type LockDescriptor = (descriptor: number, offset: number, lengthBytes: number) => boolean;

/**
 * Takes an open-file-description lock on the file at `path`. The file is created if it does not
 * exist and is never removed: a new file of the same name would have a separate lock.
 *
 * Resolves `undefined` while another holder has the lock. Rejects with the system's error. `ENOLCK`
 * and `ENOTSUP` mean a file system without locks: to continue without one would allow two writers.
 */
export async function tryKernelLock(
  path: string,
  lockDescriptor?: LockDescriptor,
): Promise<FileLock | undefined> {
  const lock = lockDescriptor ?? (await nativeLock());
  const descriptor = await openFileDescriptor(path, constants.O_RDWR | constants.O_CREAT);
  try {
    if (lock(descriptor, LOCK_OFFSET, LOCK_LENGTH_BYTES)) return new KernelLock(descriptor, path);
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

/** The descriptor is the lock: closing it, or the death of the process, releases the lock. */
class KernelLock implements FileLock {
  readonly #file: NodeOpenFile;
  readonly #path: string;
  /** Undefined where the file system does not show the same inode by path and by descriptor. */
  readonly #inode: Inode | undefined;
  /** When the file was last found in place, by the monotonic clock. */
  #foundAtMs = -Infinity;
  #released: Promise<void> | undefined = undefined;

  constructor(descriptor: number, path: string) {
    this.#file = new NodeOpenFile(descriptor, path, 'none');
    this.#path = path;
    const held = fstatSync(descriptor, { bigint: true });
    this.#inode = isSameInode(inodeAt(path), held) ? held : undefined;
  }

  get identity(): string | undefined {
    return this.#inode?.ino.toString();
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

  isInPlace(maxAgeMs: number): boolean {
    const nowMs = monotonicMs();
    if (nowMs - this.#foundAtMs < maxAgeMs) return true;
    const isFound = this.#look();
    if (isFound) this.#foundAtMs = nowMs;
    return isFound;
  }

  #look(): boolean {
    let found: Inode | undefined;
    try {
      found = inodeAt(this.#path);
    } catch (error) {
      const code = systemCode(error);
      // Other errors prove nothing.
      return code !== 'ENOTDIR' && code !== 'ELOOP';
    }
    if (found === undefined) return false;
    return this.#inode === undefined || isSameInode(found, this.#inode);
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

interface Inode {
  readonly dev: bigint;
  readonly ino: bigint;
}

/** Undefined if there is no such name. */
function inodeAt(path: string): Inode | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false });
}

function isSameInode(one: Inode | undefined, other: Inode): boolean {
  return one?.ino === other.ino && one.dev === other.dev;
}

// Loading takes a third of the time of a small store's open, so it starts before the lock is
// needed. Threads take no lock. If loading fails, the error is reported when a lock is taken.
if (isMainThread) {
  setImmediate(() => {
    nativeLock().catch(() => undefined);
  }).unref();
}
