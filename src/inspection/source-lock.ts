import { join } from 'node:path';
import { StoreLockedError, systemCode } from '../base/errors.ts';
import { decodeOwnerRecord, lockOwnerOf } from '../directory/owner-record.ts';
import { LEASE_NAME, LOCK_NAME } from '../format/file-name.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { hasFileOpen } from '../fs/process-files.ts';
import { readOwner, type Owner } from './owner.ts';

/**
 * Errors of a lock that cannot be tried: the file cannot be written, or the file system has no
 * locks. The owner record and the lease decide then.
 */
const CANNOT_LOCK: ReadonlySet<string> = new Set([
  'EROFS',
  'EACCES',
  'EPERM',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOLCK',
  'ENOSYS',
]);

/**
 * Prevents a directory from being opened while it is read, without changing anything in it: takes
 * the kernel lock on the lock file, if there is one. Returns a function that releases it.
 *
 * @throws StoreLockedError if a store is open there, or may be on another host
 */
export async function lockSource(fs: FileSystem, directory: string): Promise<() => Promise<void>> {
  const path = join(directory, LOCK_NAME);
  const owner = await readOwner(fs, directory);
  const lock = (await isThere(fs, path)) ? await takeLock(fs, path) : 'none';
  if (lock === undefined) throw lockedError(directory, owner, 'is open');
  // Without a kernel lock, only the lease shows an owner. Whether a process of another host is
  // alive cannot be checked.
  const isHeld = owner?.hasLease === true && owner.isRunning !== false;
  const isRemote = owner?.isRunning === undefined;
  if (isHeld && (lock === 'none' || isRemote)) {
    if (lock !== 'none') await lock.release();
    throw lockedError(directory, owner, 'may be open');
  }
  return async () => {
    if (lock !== 'none') await lock.release();
  };
}

/**
 * As found by `readOwner`, but from what the owner holds, not only from its pid: a running process
 * may have closed the store, and a process of another container is not visible. The kernel lock is
 * taken for a moment, if there is a lock file and the owner is not seen to have it open.
 */
export async function confirmOwner(
  fs: FileSystem,
  directory: string,
  owner: Owner,
): Promise<Owner> {
  const { record, hasLease } = owner;
  if (!hasLease || owner.isRunning === undefined) return owner;
  const isOfOwner = (head: Uint8Array): boolean => decodeOwnerRecord(head)?.nonce === record.nonce;
  const hasFile = owner.isRunning ? await hasFileOpen(record.pid, undefined, isOfOwner) : false;
  if (hasFile === true) return owner;
  const isLocked = await isKernelLocked(fs, join(directory, LOCK_NAME));
  return { ...owner, isRunning: isLocked ?? (owner.isRunning && hasFile === undefined) };
}

/** Undefined if it cannot be tried. */
async function isKernelLocked(fs: FileSystem, path: string): Promise<boolean | undefined> {
  try {
    // Taking the lock creates a missing file.
    if (!(await isThere(fs, path))) return undefined;
    const lock = await takeLock(fs, path);
    if (lock === 'none') return undefined;
    await lock?.release();
    return lock === undefined;
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
}

async function takeLock(
  fs: FileSystem,
  path: string,
): Promise<Awaited<ReturnType<FileSystem['tryLock']>> | 'none'> {
  try {
    return await fs.tryLock(path);
  } catch (error) {
    if (CANNOT_LOCK.has(systemCode(error) ?? '')) return 'none';
    throw error;
  }
}

async function isThere(fs: FileSystem, path: string): Promise<boolean> {
  return fs.stat(path).then(
    () => true,
    () => false,
  );
}

function lockedError(directory: string, owner: Owner | undefined, how: string): StoreLockedError {
  const record = owner?.record;
  const who =
    record === undefined
      ? 'a process that has not written its name'
      : `process ${record.pid} on host ${record.hostName}`;
  const next = how === 'is open' ? '' : `; if that host is down, remove ${LEASE_NAME} in it`;
  return new StoreLockedError(
    `${directory} ${how} in ${who}, and changes while it is read: close it there first${next}`,
    lockOwnerOf(record),
    { path: directory },
  );
}
