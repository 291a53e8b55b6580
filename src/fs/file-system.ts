import type { Awaitable } from '../base/flow.ts';

/**
 * The interface for all I/O of the store, and of files that a program keeps beside it.
 * `nodeFileSystem` is the real implementation; `CrashFs` of `lodestore/testing` simulates a disk
 * and its crash states. No mmap, no copies, no clocks except the lease's.
 *
 * All calls reject with the system's error (`code` is `ENOENT`, `EIO`, …), unchanged.
 */
export interface FileSystem {
  /**
   * - `r`: read.
   * - `r+`: read and write.
   * - `rs+`: read and write; each write is durable when it resolves (O_DSYNC: the bytes of that
   *   call and the size they need, nothing else of the file).
   * - `wx`: read and write, created by this call; rejects `EEXIST` if the name exists.
   *
   * Never waits for another process: rejects `ESPIPE` if the path leads to a FIFO, a socket or a
   * device.
   */
  open(path: string, mode: OpenMode): Promise<OpenFile>;
  /** Names in a directory, in no order. Rejects `ENOENT`, `ENOTDIR`. */
  readDirectory(path: string): Promise<DirectoryEntry[]>;
  /** Follows links. Rejects `ENOENT`. */
  stat(path: string): Promise<FileStat>;
  /** Atomic replacement within one directory. Durable after `syncDirectory`. */
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /**
   * Gives the file at `existing` a second name. Durable after `syncDirectory` of the new name's
   * directory. Rejects `EEXIST`, `ENOENT`; `EXDEV`, `EPERM`, `EMLINK` or `ENOTSUP` where the system
   * cannot do it.
   */
  link(existing: string, path: string): Promise<void>;
  /** Creates one level. Rejects `EEXIST`, `ENOENT`. */
  makeDirectory(path: string): Promise<void>;
  /** Removes an empty directory. Rejects `ENOENT`, `ENOTDIR`, `ENOTEMPTY`. */
  removeDirectory(path: string): Promise<void>;
  /** Makes all names created, renamed or removed in this directory before the call durable. */
  syncDirectory(path: string): Promise<void>;
  /** The free bytes that an unprivileged process may use. */
  freeBytes(path: string): Promise<number>;
  /**
   * Takes the kernel lock on a file, which is created if it does not exist. Resolves `undefined` if
   * another open file description holds it, in this process or another.
   */
  tryLock(path: string): Promise<FileLock | undefined>;
  /**
   * Takes the lease that other hosts can see. Rejects `ELOCKED` while another holder refreshes it.
   */
  takeLease(path: string, options: LeaseOptions): Promise<Lease>;
  /** Removes a lease whose holder is known to be dead. Also resolves if there is none. */
  breakLease(path: string): Promise<void>;
  /** Holds a directory open, for a `Directory`. Follows links. Rejects `ENOENT`, `ENOTDIR`. */
  holdDirectory(path: string): Promise<DirectoryHold>;
  /** A file system without these does not support inline commits. */
  readonly blocking?: BlockingCalls | undefined;
}

/** Calls that block until they are done. They throw the errors that the async calls reject with. */
export interface BlockingCalls {
  open(path: string, mode: OpenMode): BlockingFile;
  unlink(path: string): void;
  syncDirectory(path: string): void;
}

/** As {@link OpenFile}, with blocking calls. */
export interface BlockingFile {
  read(target: Uint8Array, position: number): number;
  write(source: Uint8Array, position: number): number;
  truncate(sizeBytes: number): void;
  dataSync(): void;
  /** As {@link OpenFile.statSync}. */
  statSync(maxAgeMs?: number): OpenFileStat;
  close(): void;
}

/** A file system with async or blocking calls, for code that is written as a `Flow`. */
export interface EitherCalls {
  open(path: string, mode: OpenMode): Awaitable<EitherFile>;
  unlink(path: string): Awaitable<void>;
  syncDirectory(path: string): Awaitable<void>;
}

/** A file with async or blocking calls. */
export interface EitherFile {
  read(target: Uint8Array, position: number): Awaitable<number>;
  write(source: Uint8Array, position: number): Awaitable<number>;
  truncate(sizeBytes: number): Awaitable<void>;
  dataSync(): Awaitable<void>;
  /** As {@link OpenFile.statSync}. */
  statSync(maxAgeMs?: number): OpenFileStat;
  close(): Awaitable<void>;
}

/**
 * The identity of the directory, independent of its path. Two directories held at the same time are
 * the same if these are equal.
 */
export interface DirectoryIdentity {
  readonly device: bigint;
  readonly inode: bigint;
}

export function isSameDirectory(one: DirectoryIdentity, other: DirectoryIdentity): boolean {
  return one.device === other.device && one.inode === other.inode;
}

/** What another thread of the process needs to open the same directory. */
export interface DirectoryReference {
  readonly realPath: string;
  /** As in {@link DirectoryHold}. */
  readonly access: string;
  readonly identity: DirectoryIdentity;
}

/**
 * - `held`: names can be created in the directory.
 * - `removed`: it no longer exists.
 * - `elsewhere`: its path leads to another directory or to none, and there is no other way to reach
 *   it.
 */
export type HoldState = 'held' | 'removed' | 'elsewhere';

/** A directory that is held open. */
export interface DirectoryHold {
  /** The absolute path without symbolic links at the time of the open. */
  readonly realPath: string;
  /**
   * The path that calls use. Where the system supports it, this path leads to the held directory
   * and no other until `close`. Elsewhere it is `realPath`.
   */
  readonly access: string;
  readonly identity: DirectoryIdentity;
  /** Checks whether calls that use `access` still reach the directory. */
  check(): Promise<HoldState>;
  /** As `syncDirectory`, for this directory. */
  sync(): Promise<void>;
  /** Called once, after the last call that uses `access`. */
  close(): Promise<void>;
  /** Blocking `check` and `sync`, where the file system has such calls. */
  readonly blocking?: { check(): HoldState; sync(): void } | undefined;
}

export type OpenMode = 'r' | 'r+' | 'rs+' | 'wx';

export interface FileStat {
  readonly kind: 'file' | 'directory' | 'other';
  readonly sizeBytes: number;
}

/** The status of an open file. */
export interface OpenFileStat {
  readonly sizeBytes: number;
  /**
   * The number of names that lead to the file. 0: it was removed, and is freed with its last
   * descriptor.
   */
  readonly linkCount: number;
  /**
   * Whether the path by which the file was opened still leads to a file or directory, not
   * necessarily to this file. False: the file was renamed or removed.
   */
  readonly isNamed: boolean;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'other';
}

export interface OpenFile {
  /**
   * Reads at `position` into `target`. Resolves to the number of bytes read: 0 at the end, maybe
   * fewer than requested.
   */
  read(target: Uint8Array, position: number): Promise<number>;
  /**
   * Blocking `read`, for a record that is requested before its chunk has been read. A file system
   * without it does not support `warm: 'background'`.
   */
  readSync?(target: Uint8Array, position: number): number;
  /** Writes at `position`. Resolves to the number of bytes written, maybe fewer than requested. */
  write(source: Uint8Array, position: number): Promise<number>;
  /**
   * Writes the parts one after another from `position` on, with one call. Resolves to the number of
   * bytes written, maybe fewer than requested. No more atomic than `write`.
   */
  writev(sources: readonly Uint8Array[], position: number): Promise<number>;
  /** Sets the size. Added bytes read as zeros and take no space. */
  truncate(sizeBytes: number): Promise<void>;
  /**
   * Extends the file to `sizeBytes` with zeros that take space, so that later writes there do not
   * fail with `ENOSPC` (except on copy-on-write file systems). A file that is already as long stays
   * unchanged. On failure, for example `ENOSPC`, the file has its old length. Nothing else may
   * write beyond the old end meanwhile. Durable after a sync; until then the file may have any
   * length between. Node.js has no fallocate, so the zeros are written.
   */
  preallocate(sizeBytes: number): Promise<void>;
  /**
   * Frees the space of `lengthBytes` from `position` on: the bytes read as zeros, the size stays. A
   * range beyond the end is ignored. Whole blocks (usually 4 KiB) are freed, the rest is
   * overwritten with zeros. A later write there takes space again and can fail with `ENOSPC`.
   * Durable after a sync, also on a file opened with `rs+`; until then each part may have either
   * content. Rejects `EOPNOTSUPP` or `ENOTSUP`, with nothing changed, where the file system does
   * not support holes.
   */
  trim(position: number, lengthBytes: number): Promise<void>;
  /** fdatasync: the data, and the size needed to read it back. */
  dataSync(): Promise<void>;
  /** fsync: as `dataSync`, plus times and permissions. Not the name: see `syncDirectory`. */
  sync(): Promise<void>;
  stat(): Promise<FileStat>;
  /**
   * Blocking, because it is called beside writes: a call through the thread pool would double the
   * cost of a write. The result may be `maxAgeMs` milliseconds old; 0, the default: it is new. That
   * the file was renamed or removed shows at once. A query makes the next write more expensive:
   * since Linux 6.13, a write gives the file a new time if the last one was queried, and a small
   * durable write then takes a third longer.
   */
  statSync(maxAgeMs?: number): OpenFileStat;
  close(): Promise<void>;
}

export interface FileLock {
  /**
   * Overwrites the owner record at the beginning of the lock file. Bytes after it stay, including
   * those of a longer record. Durable when it resolves.
   */
  writeRecord(record: Uint8Array): Promise<void>;
  /**
   * Writes one sector of a claim at `position`; the rest of the file stays. Durable when it
   * resolves.
   */
  writeClaim(sector: Uint8Array, position: number): Promise<void>;
  /** As `writeClaim`, without a sync: for readers of the file while the lock is held. */
  writeNote(sector: Uint8Array, position: number): Promise<void>;
  /**
   * Identifies the locked file among those of its directory: an inode number. A copy has another
   * one. It must not change while the file is open. If it changes later, the next open waits
   * without need. Undefined if it is not known.
   */
  readonly identity?: string | undefined;
  /**
   * Whether the path still leads to the locked file. False: it was removed, renamed or replaced,
   * and another process can lock the file that takes its place. `maxAgeMs`: how old an answer may
   * be that is given again; 0 for a new look. Blocking, because it is called before each
   * acknowledgement. A file system without it does not detect that.
   */
  isInPlace?(maxAgeMs: number): boolean;
  /** Releases the lock; the file stays. Idempotent. */
  release(): Promise<void>;
}

export interface LeaseOptions {
  /** A lease not refreshed for this long may be taken by another host. 2,000 to 2^31 - 1. */
  readonly staleMs: number;
  /** Called at most once, when the lease turns out to be lost. Exceptions are ignored. */
  readonly onLost: (cause: Error) => void;
  /** Called when a due refresh failed: the holder must call `renew`. */
  readonly onOverdue?: (() => void) | undefined;
  /**
   * If given, a lease dated in the future, which would never become stale, is watched for `staleMs`
   * and taken over if nobody refreshes it. If not given, it rejects `ELOCKED` as a fresh lease
   * does.
   */
  readonly watch?: LeaseWatch | undefined;
}

export interface LeaseWatch {
  /** Ends the watch: `takeLease` rejects. */
  readonly signal?: AbortSignal | undefined;
  /** Called at least once a second with the time watched so far. */
  readonly onProgress?: ((watchedMs: number) => void) | undefined;
}

export interface Lease {
  /**
   * True while the last refresh that is known to have succeeded *began* less than the stale limit
   * ago, by a monotonic clock.
   */
  isFresh(): boolean;
  /**
   * Refreshes a lease that became stale if it still has the time last set here. Then waits until
   * any host that took it at the same moment is visible, and checks again. One call at a time. The
   * lease cannot show whether another host had it in the meantime and released it.
   *
   * Rejects `ELOCKED` if another holder has it, `ENOENT` if it is gone, or with the system's error.
   */
  renew(): Promise<void>;
  /** Releases the lease. Idempotent. Also resolves if the lease was lost. */
  release(): Promise<void>;
  /** Only where the file system has blocking calls. */
  readonly blocking?: BlockingLease | undefined;
}

/** For a loop that starves the lease's timer. */
export interface BlockingLease {
  /**
   * Refreshes the lease if a refresh is due, as the timer does. Must be called while it is fresh.
   */
  refresh(): void;
  /** Blocking {@link Lease.renew}: blocks the thread for the settling time. */
  renew(): void;
}
