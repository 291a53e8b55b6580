import { join } from 'node:path';
import { systemCode } from '../base/errors.ts';
import {
  decodeOwnerRecord,
  isSameMachine,
  MAX_RECORD_BYTES,
  type OwnerRecord,
} from '../directory/owner-record.ts';
import { LEASE_NAME, LOCK_NAME } from '../format/file-name.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { readFully } from '../fs/file-window.ts';
import { readProcessIdentity, startTicksOf } from '../fs/process-identity.ts';

/** The process that last opened the store, found by reading only. The lock is not touched. */
export interface Owner {
  readonly record: OwnerRecord;
  /** A clean close removes the lease. If it exists, the store is open or its owner died. */
  readonly hasLease: boolean;
  /**
   * Whether the process is running. Undefined if it is on another machine, or cannot be determined.
   */
  readonly isRunning: boolean | undefined;
}

const MAX_STAT_BYTES = 4096;

/** Undefined if there is no owner record, or it cannot be read. */
export async function readOwner(fs: FileSystem, directory: string): Promise<Owner | undefined> {
  const bytes = await readSome(fs, join(directory, LOCK_NAME), MAX_RECORD_BYTES);
  const record = bytes === undefined ? undefined : decodeOwnerRecord(bytes);
  if (record === undefined) return undefined;
  const hasLease = await isDirectory(fs, join(directory, LEASE_NAME));
  return { record, hasLease, isRunning: await isRunning(fs, record) };
}

async function isRunning(fs: FileSystem, record: OwnerRecord): Promise<boolean | undefined> {
  const self = await readProcessIdentity();
  if (self.processStartTicks === undefined || !isSameMachine(record, self)) return undefined;
  const stat = await readSome(fs, `/proc/${record.pid}/stat`, MAX_STAT_BYTES);
  if (stat === undefined) return false;
  return startTicksOf(new TextDecoder().decode(stat)) === record.processStartTicks;
}

async function readSome(
  fs: FileSystem,
  path: string,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  try {
    const file = await fs.open(path, 'r');
    try {
      const buffer = new Uint8Array(maxBytes);
      return buffer.subarray(0, await readFully(file, buffer, 0));
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
}

/** Only a directory is a lease. */
async function isDirectory(fs: FileSystem, path: string): Promise<boolean> {
  return fs.stat(path).then(
    ({ kind }) => kind === 'directory',
    () => false,
  );
}
