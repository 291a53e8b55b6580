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

/** Attempts to lock a file that is replaced during each attempt; then the open fails. */
const MAX_ATTEMPTS = 5;

/**
 * Locks a byte range of an open descriptor. False if another open file description has locked it.
 */
export type LockDescriptor = (descriptor: number, offset: number, lengthBytes: number) => boolean;

/**
 * Takes an open-file-description lock on the file at `path`. The file is created if it does not
 * exist and is never removed: a new file of the same name would have a separate lock. If another
 * program replaces it meanwhile, the new one is locked.
 *
 * Resolves `undefined` while another holder has the lock. Rejects with the system's error. `ENOLCK`
 * and `ENOTSUP` mean a file system without locks: to continue without one would allow two writers.
 */
export async function tryKernelLock(
  path: string,
  lockDescriptor?: LockDescriptor,
): Promise<FileLock | undefined> {
  const lock = lockDescriptor ?? (await nativeLock());
  for (let attempt = 1; ; attempt++) {
    const descriptor = await openFileDescriptor(path, constants.O_RDWR | constants.O_CREAT);
    let place: Place | 'locked';
    try {
      const isOurs = lock(descriptor, LOCK_OFFSET, LOCK_LENGTH_BYTES);
      place = isOurs ? await placeOf(descriptor, path) : 'locked';
    } catch (error) {
      await closeDescriptor(descriptor);
      throw error;
    }
    if (place !== 'locked' && place !== 'replaced') return new KernelLock(descriptor, path, place);
    await closeDescriptor(descriptor);
    if (place === 'locked') return undefined;
    if (attempt === MAX_ATTEMPTS) throw replaced(path);
  }
}

/**
 * The inode of an open file; `unknown` where the file system does not show the same one by path and
 * by descriptor. `replaced`: the path leads to another file, or to none.
 */
type Place = Inode | 'unknown' | 'replaced';

async function placeOf(descriptor: number, path: string): Promise<Place> {
  const held = fstatSync(descriptor, { bigint: true });
  if (isSameInode(inodeAt(path), held)) return held;
  let other: number;
  try {
    other = await openFileDescriptor(path, constants.O_RDWR);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 'replaced';
    throw error;
  }
  try {
    return isSameInode(fstatSync(other, { bigint: true }), held) ? 'unknown' : 'replaced';
  } finally {
    await closeDescriptor(other);
  }
}

function replaced(path: string): Error {
  const meaning = `another program replaced the file during each of ${MAX_ATTEMPTS} attempts`;
  const message = `EAGAIN: ${meaning}, open '${path}'`;
  return Object.assign(new Error(message), { code: 'EAGAIN', path });
}

async function nativeLock(): Promise<LockDescriptor> {
  const { tryLock } = requireNative(
    'fs-native-extensions',
  ) as typeof import('fs-native-extensions');
  return tryLock;
}

/** The descriptor is the lock: closing it, or the death of the process, releases the lock. */
class KernelLock implements FileLock {
  readonly #descriptor: number;
  readonly #file: NodeOpenFile;
  readonly #path: string;
  readonly #inode: Inode | 'unknown';
  /** When the file was last found in place, by the monotonic clock. */
  #foundAtMs = -Infinity;
  #released: Promise<void> | undefined = undefined;

  constructor(descriptor: number, path: string, inode: Inode | 'unknown') {
    this.#descriptor = descriptor;
    this.#file = new NodeOpenFile(descriptor, path, 'none');
    this.#path = path;
    this.#inode = inode;
  }

  get identity(): string | undefined {
    return this.#inode === 'unknown' ? undefined : this.#inode.ino.toString();
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
    this.#foundAtMs = isFound ? nowMs : -Infinity;
    return isFound;
  }

  #look(): boolean {
    let found: Inode | undefined;
    try {
      found = inodeAt(this.#path);
    } catch (error) {
      const code = systemCode(error);
      // Other errors prove nothing about the name.
      return code !== 'ENOTDIR' && code !== 'ELOOP' && fstatSync(this.#descriptor).nlink > 0;
    }
    if (found === undefined) return false;
    return this.#inode === 'unknown' || isSameInode(found, this.#inode);
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
