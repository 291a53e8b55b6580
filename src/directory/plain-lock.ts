import { join } from 'node:path';
import { storeErrorOf } from '../base/store-error-of.ts';
import type { FileLock, FileSystem } from '../fs/file-system.ts';
import { readFully } from '../fs/file-window.ts';
import { heldByProcess } from './owner-message.ts';
import {
  decodeOwnerRecord,
  encodeOwnerRecord,
  MAX_RECORD_BYTES,
  type OwnerRecord,
} from './owner-record.ts';

/**
 * Locks a file of a directory, which must exist, in the name of `self`. Excludes processes of this
 * machine only, and ends with the process. Returns a function that releases it.
 * @throws StoreLockedError if it is locked; StoreError `LODESTORE_IO`
 */
export async function takePlainLock(
  fs: FileSystem,
  directory: string,
  name: string,
  self: OwnerRecord,
): Promise<() => Promise<void>> {
  const path = join(directory, name);
  let lock: FileLock | undefined;
  try {
    lock = await fs.tryLock(path);
  } catch (error) {
    throw storeErrorOf(error, { what: 'the lock on the directory could not be taken', path });
  }
  if (lock === undefined) {
    throw heldByProcess(directory, await readOwner(fs, path), self, path);
  }
  const held = lock;
  // Only the message of another process needs it. A full disk may refuse it.
  await held.writeRecord(encodeOwnerRecord(self)).catch(() => undefined);
  // A lock that cannot be released ends with the process.
  return () => held.release().catch(() => undefined);
}

/** Undefined if the holder has not written its record, or it cannot be read. */
async function readOwner(fs: FileSystem, path: string): Promise<OwnerRecord | undefined> {
  try {
    const file = await fs.open(path, 'r');
    try {
      const bytes = new Uint8Array(MAX_RECORD_BYTES);
      return decodeOwnerRecord(bytes.subarray(0, await readFully(file, bytes, 0)));
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
}
