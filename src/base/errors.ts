import { constants } from 'node:os';
import type { StoreErrorCode } from './error-code.ts';
import { errorForm, hideFields } from './json-form.ts';

/**
 * The result of a rejected write. `not-applied`: the batch is not on disk and never will be.
 * `unknown`: the batch may come back, whole, at the next open.
 */
export type WriteOutcome = 'not-applied' | 'unknown';

export interface StoreErrorFields {
  cause?: unknown;
  /** Set on every rejected write. */
  outcome?: WriteOutcome | undefined;
  /** The file or directory concerned. */
  path?: string | undefined;
}

/** The base of all errors that the store reports about itself, its files and its directory. */
export class StoreError extends Error {
  override readonly name: string = 'StoreError';
  readonly code: StoreErrorCode;
  readonly outcome: WriteOutcome | undefined;
  readonly path: string | undefined;

  constructor(code: StoreErrorCode, message: string, fields: StoreErrorFields = {}) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.code = code;
    this.outcome = fields.outcome;
    this.path = fields.path;
  }

  /** Name, message and fields: bigints as decimal strings, bytes as base64, without the stack. */
  toJSON(): unknown {
    return errorForm(this);
  }
}

/**
 * The holder of a directory, from its owner record. Fields are undefined if the record could not be
 * read.
 */
export interface LockOwner {
  readonly pid: number | undefined;
  readonly hostName: string | undefined;
  /** Milliseconds since 1970 when the owner opened the store, by its own clock. */
  readonly openedAtMs: number | undefined;
}

/** Another process, thread, store object or host holds the directory. */
export class StoreLockedError extends StoreError {
  override readonly name: string = 'StoreLockedError';
  readonly owner: LockOwner;

  constructor(message: string, owner: LockOwner, fields: StoreErrorFields = {}) {
    super('LODESTORE_LOCKED', message, fields);
    this.owner = owner;
  }
}

export interface CorruptionDetail {
  /** Path of the damaged file. */
  readonly path: string;
  /** Offset in bytes at which the damage was found. */
  readonly offset: number;
  /** What was found there, as a phrase. */
  readonly reason: string;
  /** First affected sequence number, if known. */
  readonly firstSequence?: bigint | undefined;
  /** Last affected sequence number, if known. */
  readonly lastSequence?: bigint | undefined;
  /** Number of affected bytes of the file, if known. */
  readonly affectedBytes?: number | undefined;
  /** What to run next. */
  readonly hint: string;
}

/** Bytes on disk are not what was written. The operation that reports it has changed nothing. */
export class CorruptionError extends StoreError {
  override readonly name: string = 'CorruptionError';
  readonly offset: number;
  readonly reason: string;
  readonly firstSequence: bigint | undefined;
  readonly lastSequence: bigint | undefined;
  readonly affectedBytes: number | undefined;
  readonly hint: string;

  constructor(detail: CorruptionDetail, fields: StoreErrorFields = {}) {
    super(
      'LODESTORE_CORRUPTION',
      `${detail.path} is damaged at offset ${detail.offset}: ${detail.reason}. ${detail.hint}`,
      { ...fields, path: detail.path },
    );
    this.offset = detail.offset;
    this.reason = detail.reason;
    this.firstSequence = detail.firstSequence;
    this.lastSequence = detail.lastSequence;
    this.affectedBytes = detail.affectedBytes;
    this.hint = detail.hint;
    hideFields(this, ['firstSequence', 'lastSequence']);
  }
}

/** A sync, rename or write failed, and the state of the disk is unknown. Reopen the store. */
export class StorePoisonedError extends StoreError {
  override readonly name: string = 'StorePoisonedError';

  constructor(
    message: string,
    fields: StoreErrorFields = {},
    code: StoreErrorCode = 'LODESTORE_POISONED',
  ) {
    super(code, message, fields);
  }
}

/** The lease of the directory was lost: another host may own the store. */
export class FencedError extends StorePoisonedError {
  override readonly name: string = 'FencedError';

  constructor(message: string, fields: StoreErrorFields = {}) {
    super(message, fields, 'LODESTORE_FENCED');
  }
}

/**
 * The directory was removed while it was open, or its path was replaced and the system offers no
 * other access. Acknowledged batches are in the files that were open; nothing more is written.
 */
export class DirectoryLostError extends StorePoisonedError {
  override readonly name: string = 'DirectoryLostError';

  constructor(message: string, fields: StoreErrorFields = {}) {
    super(message, fields, 'LODESTORE_DIRECTORY_LOST');
  }
}

/**
 * Another program removed or truncated a log or the snapshot of the open store. Memory has the only
 * complete copy; reads still work.
 */
export class FilesLostError extends StorePoisonedError {
  override readonly name: string = 'FilesLostError';

  constructor(message: string, fields: StoreErrorFields = {}) {
    super(message, fields, 'LODESTORE_FILES_LOST');
  }

  /** The error for the file at `path`. */
  static of(path: string, cause?: unknown): FilesLostError {
    const message =
      `${path} was removed, moved or truncated by another program while the store was open. The records in memory are the only ` +
      'complete copy: before you close this store, copy entries() to another store';
    return new FilesLostError(message, { path, cause });
  }
}

export interface SpaceLimitFields {
  limitBytes?: number | undefined;
  usedBytes?: number | undefined;
}

/**
 * No space (ENOSPC), no quota (EDQUOT), a file size limit (EFBIG), or `maxBytes` would be exceeded.
 * Writes work again when there is space.
 */
export class StoreFullError extends StoreError {
  override readonly name: string = 'StoreFullError';
  /** The `maxBytes` that the batch would exceed; undefined if the disk is full. */
  readonly limitBytes: number | undefined;
  /** Bytes that count towards that limit, without the batch. */
  readonly usedBytes: number | undefined;

  constructor(message: string, fields: StoreErrorFields & SpaceLimitFields = {}) {
    super('LODESTORE_FULL', message, fields);
    this.limitBytes = fields.limitBytes;
    this.usedBytes = fields.usedBytes;
  }
}

export class BatchTooLargeError extends StoreError {
  override readonly name: string = 'BatchTooLargeError';
  /** Bytes of the batch as encoded rows; at least this many when counting stopped early. */
  readonly lengthBytes: number;
  readonly limitBytes: number;

  constructor(lengthBytes: number, limitBytes: number) {
    super(
      'LODESTORE_BATCH_TOO_LARGE',
      `the batch needs ${lengthBytes} bytes, more than the limit of ${limitBytes} for one batch; split it`,
      { outcome: 'not-applied' },
    );
    this.lengthBytes = lengthBytes;
    this.limitBytes = limitBytes;
  }
}

export interface ConditionFailure {
  /** Index in the batch of the update whose condition failed, from 0. */
  readonly index: number;
  readonly key: bigint;
  /** The condition that failed. */
  readonly condition: 'ifValue' | 'ifAbsent' | 'ifData' | 'ifNewer';
  /** The values that `ifValue` allows; empty for the other conditions. */
  readonly allowed: readonly bigint[];
  /** The value of the key; undefined: no record. */
  readonly found: bigint | undefined;
}

/**
 * A condition of the batch did not hold; nothing of the batch is applied. Names the first condition
 * that failed. The state that it saw is as durable as the batch would have been.
 */
export class ConditionFailedError extends StoreError {
  override readonly name: string = 'ConditionFailedError';
  readonly index: number;
  readonly key: bigint;
  readonly condition: ConditionFailure['condition'];
  readonly allowed: readonly bigint[];
  /** The value that `ifValue` requires, if it is only one. */
  readonly expected: bigint | undefined;
  readonly found: bigint | undefined;

  constructor(failure: ConditionFailure) {
    const { index, key, condition, allowed, found } = failure;
    const other = condition === 'ifData' ? 'it has other data, and value' : 'it has value';
    const had = found === undefined ? 'there is no record' : `${other} ${found}`;
    super(
      'LODESTORE_CONDITION_FAILED',
      `the batch was not applied: update ${index} requires ${wanted(failure)} of key ${key}, but ${had}`,
      { outcome: 'not-applied' },
    );
    this.index = index;
    this.key = key;
    this.condition = condition;
    this.allowed = allowed;
    this.expected = allowed.length === 1 ? allowed[0] : undefined;
    this.found = found;
    hideFields(this, ['key', 'allowed', 'expected', 'found']);
  }
}

/**
 * What `insertBatchSync` would have to wait for. `queue`: batches that are queued or in flight, or
 * another run of the commit loop. `warming`: chunks that are not in memory. `merges`: merges that
 * do not keep up. `space`: space on a full disk. `pause`: proof of the lease after a pause of this
 * process.
 */
export type BusyReason = 'queue' | 'warming' | 'merges' | 'space' | 'pause';

const BUSY_TEXTS: Readonly<Record<BusyReason, string>> = {
  queue: 'other batches are queued or being written',
  warming: 'the snapshot is being read into memory',
  merges: 'merges do not keep up',
  space: 'space must be freed on a full disk',
  pause: 'this process was paused, and the lease is being checked',
};

/** `insertBatchSync` would have to wait. Nothing was written; `insertBatch` waits. */
export class StoreBusyError extends StoreError {
  override readonly name: string = 'StoreBusyError';
  readonly reason: BusyReason;

  constructor(reason: BusyReason, fields: Pick<StoreErrorFields, 'cause'> = {}) {
    const message = `the batch was not applied: ${BUSY_TEXTS[reason]}; return to the event loop, or use insertBatch`;
    super('LODESTORE_BUSY', message, { ...fields, outcome: 'not-applied' });
    this.reason = reason;
  }
}

function wanted({ condition, allowed }: ConditionFailure): string {
  switch (condition) {
    case 'ifAbsent':
      return 'no record';
    case 'ifData':
      return 'certain data';
    case 'ifNewer':
      return 'a value below its own';
    case 'ifValue':
      return `value ${allowed.join(' or ')}`;
  }
}

export class StoreClosedError extends StoreError {
  override readonly name: string = 'StoreClosedError';

  constructor(message = 'the store is closed', fields: StoreErrorFields = {}) {
    super('LODESTORE_CLOSED', message, fields);
  }
}

/** A snapshot that was released is read. */
export class SnapshotReleasedError extends StoreError {
  override readonly name: string = 'SnapshotReleasedError';

  constructor() {
    super('LODESTORE_SNAPSHOT_RELEASED', 'the snapshot was released');
  }
}

export interface PositionDetail {
  /** The position at which the feed should start, or that it has reached. */
  readonly position: bigint;
  /** The lowest and the highest position that can be followed. */
  readonly oldestPosition: bigint;
  readonly lastPosition: bigint;
}

/**
 * A change feed cannot continue from a position: its logs are merged, or it is of another history.
 */
export class PositionExpiredError extends StoreError {
  override readonly name: string = 'PositionExpiredError';
  readonly position: bigint;
  readonly oldestPosition: bigint;
  readonly lastPosition: bigint;

  constructor(message: string, detail: PositionDetail, fields: StoreErrorFields = {}) {
    super('LODESTORE_POSITION_EXPIRED', message, fields);
    this.position = detail.position;
    this.oldestPosition = detail.oldestPosition;
    this.lastPosition = detail.lastPosition;
    hideFields(this, ['position', 'oldestPosition', 'lastPosition']);
  }
}

/**
 * A package with a native part could not be loaded. Nothing was opened. `message` names the remedy.
 */
export class NativePackageError extends StoreError {
  override readonly name: string = 'NativePackageError';
  readonly packageName: string;

  constructor(packageName: string, message: string, fields: StoreErrorFields = {}) {
    super('LODESTORE_NATIVE', message, fields);
    this.packageName = packageName;
  }
}

/** An `AbortSignal` aborted the operation before it took effect. `cause` is the signal's reason. */
export class AbortedError extends StoreError {
  override readonly name: string = 'AbortError';

  constructor(message: string, fields: StoreErrorFields = {}) {
    super('LODESTORE_ABORTED', message, fields);
  }
}

/** The `code` of a system error (`ENOSPC`, `EIO`, …), or undefined. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const code = (error as { code?: unknown }).code;
  if (code === QUOTA_EXCEEDED) return 'EDQUOT';
  return typeof code === 'string' ? code : undefined;
}

/** Node has no name for `EDQUOT` and gives it this message. */
const QUOTA_EXCEEDED = `Unknown system error ${-constants.errno.EDQUOT}`;

/** The path that a system call did not find (ENOENT); undefined for any other error. */
export function missingPath(error: unknown): string | undefined {
  if (systemCode(error) !== 'ENOENT') return undefined;
  const { path } = error as { path?: unknown };
  return typeof path === 'string' ? path : undefined;
}

/**
 * The system has no descriptor left (EMFILE, ENFILE), or refused an `open` for another reason. The
 * call has changed nothing.
 */
export function isRefusedOpen(error: unknown): boolean {
  const code = systemCode(error);
  if (code === 'EMFILE' || code === 'ENFILE') return true;
  return code !== undefined && (error as { syscall?: unknown }).syscall === 'open';
}

/** The file size limit would be exceeded, regardless of free space. */
export function isFileTooLong(error: unknown): boolean {
  return systemCode(error) === 'EFBIG';
}

/** No space, no quota, or a file size limit: the write was refused and changed nothing. */
export function isLackOfSpace(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
}
