import { assert } from '../base/assert.ts';
import { MAX_FILE_NUMBER } from '../base/limits.ts';

/** Made at the first open so that nobody takes the directory for a place of their own. */
export const MARKER_NAME = 'DO_NOT_PUT_YOUR_FILES_HERE';
export const LOCK_NAME = 'lodestore.lock';
export const LEASE_NAME = 'lodestore.lease';
export const QUARANTINE_NAME = 'quarantine';
/** Zeros that are given up on a full disk; there with the option `reserveFileBytes`. */
export const RESERVE_NAME = 'lodestore.reserve';
/**
 * Empty files beside it: each one that is removed gives an inode where a file system has none left.
 */
export const SPARE_NAMES: readonly string[] = [1, 2, 3].map((n) => `${RESERVE_NAME}.${n}`);
/** Describes a finished backup. To a store it is foreign: left alone, and reported. */
export const BACKUP_NAME = 'BACKUP.json';
/**
 * Stands in a backup or a restored store until all of it is there: nobody opens such a directory.
 */
export const INCOMPLETE_NAME = 'lodestore.incomplete';

export type FileName =
  | { readonly kind: 'log' | 'snapshot' | 'temporary'; readonly number: number }
  | { readonly kind: 'marker' | 'lock' | 'lease' | 'quarantine' | 'reserve' | 'foreign' };

const NUMBERED = /^(log|snapshot)_([0-9a-f]{16})(\.tmp)?$/;

/**
 * What a name in a store's directory stands for. Whatever is not exactly one of ours is foreign.
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

export function temporarySnapshotName(number: number): string {
  return `${snapshotName(number)}.tmp`;
}
