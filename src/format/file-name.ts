import { assert } from '../base/assert.ts';
import { MAX_FILE_NUMBER } from '../base/limits.ts';
import { crc32c } from './crc.ts';

/** Created at the first open. Its name warns users not to put their own files here. */
export const MARKER_NAME = 'DO_NOT_PUT_YOUR_FILES_HERE';
export const LOCK_NAME = 'lodestore.lock';
export const LEASE_NAME = 'lodestore.lease';
export const QUARANTINE_NAME = 'quarantine';
/** Zeros that are released on a full disk. It exists if `reserveFileBytes` is set. */
export const RESERVE_NAME = 'lodestore.reserve';
/** Empty files that reserve inodes: each is removed when the file system has no free inode. */
export const SPARE_NAMES: readonly string[] = [1, 2, 3].map((n) => `${RESERVE_NAME}.${n}`);
/**
 * Describes a finished backup. A store treats it as a foreign file: it is reported and not touched.
 */
export const BACKUP_NAME = 'BACKUP.json';
/**
 * Exists in a backup or a restored store until the copy is complete. Such a directory cannot be
 * opened.
 */
export const INCOMPLETE_NAME = 'lodestore.incomplete';

export type FileName =
  | { readonly kind: 'log' | 'snapshot' | 'temporary'; readonly number: number }
  | { readonly kind: 'marker' | 'lock' | 'lease' | 'quarantine' | 'reserve' | 'foreign' };

const NUMBERED = /^(log|snapshot)_([0-9a-f]{16})((?:\.[0-9a-f]{8})?\.tmp)?$/;

/**
 * Parses the name of a file in a store's directory. Any name that does not match exactly is
 * foreign.
 */
export function parseFileName(name: string): FileName {
  if (name === MARKER_NAME) return { kind: 'marker' };
  if (name === LOCK_NAME) return { kind: 'lock' };
  if (name === LEASE_NAME) return { kind: 'lease' };
  if (name === QUARANTINE_NAME) return { kind: 'quarantine' };
  if (name === RESERVE_NAME || SPARE_NAMES.includes(name)) return { kind: 'reserve' };
  const match = NUMBERED.exec(name);
  if (match === null) return { kind: 'foreign' };
  const number = Number.parseInt(match[2]!, 16);
  if (number > MAX_FILE_NUMBER) return { kind: 'foreign' };
  if (match[3] === undefined) return { kind: match[1] as 'log' | 'snapshot', number };
  return match[1] === 'snapshot' ? { kind: 'temporary', number } : { kind: 'foreign' };
}

function hexadecimal(number: number): string {
  assert(number <= MAX_FILE_NUMBER, 'a reader takes the name for one of ours');
  return number.toString(16).padStart(16, '0');
}

export function logName(number: number): string {
  return `log_${hexadecimal(number)}`;
}

export function snapshotName(number: number): string {
  return `snapshot_${hexadecimal(number)}`;
}

/**
 * The name of a snapshot while its owner writes it. It has a checksum of the owner's nonce: after a
 * pause, a process whose lease was taken over cannot touch the file of the new owner.
 */
export function temporarySnapshotName(number: number, ownerNonce: string): string {
  const tag = crc32c(ownerNonce).toString(16).padStart(8, '0');
  return `${snapshotName(number)}.${tag}.tmp`;
}
