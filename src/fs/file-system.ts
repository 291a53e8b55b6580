import type { Awaitable } from '../base/flow.ts';

/**
 * The interface for all I/O of the store, and of files that a program keeps beside it.
 * `nodeFileSystem` is the real one; `CrashFs` of `lodestore/testing` records what a disk has
 * promised. No mmap, no copies, no clocks except the lease's.
 *
 * All calls reject with the system's error (`code` is `ENOENT`, `EIO`, …), unchanged.
 */
export interface FileSystem {
  /**
   * `r`: read. `r+`: read and write. `rs+`: read and write, each write durable when it resolves
   * (O_DSYNC: the bytes written by that call and the size they need, nothing else of the file).
   * `wx`: read and write, created by this call; rejects `EEXIST` if the name exists.
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
   * directory. Rejects `EEXIST`, `ENOENT`; `EXDEV`, `EPERM`, `EMLINK`, `ENOTSUP` where that cannot
   * be.
   */
  link(existing: string, path: string): Promise<void>;
  /** One level. Rejects `EEXIST`, `ENOENT`. */
  makeDirectory(path: string): Promise<void>;
  /** Removes an empty directory. Rejects `ENOENT`, `ENOTDIR`, `ENOTEMPTY`. */
  removeDirectory(path: string): Promise<void>;
  /** Makes all names created, renamed or removed in this directory before the call durable. */
  syncDirectory(path: string): Promise<void>;
  /** Bytes that an unprivileged writer may still use. */
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
  /** Removes a lease whose holder is known to be dead. Resolves also when there is none. */
  breakLease(path: string): Promise<void>;
  /** Holds a directory open, for a `Directory`. Follows links. Rejects `ENOENT`, `ENOTDIR`. */
  holdDirectory(path: string): Promise<DirectoryHold>;
  /** A file system without these offers no inline commits. */
  readonly blocking?: BlockingCalls | undefined;
}

/** Calls that are done when they return. They throw what those of the same name reject with. */
export interface BlockingCalls {
  open(path: string, mode: OpenMode): BlockingFile;
  unlink(path: string): void;
  syncDirectory(path: string): void;
}

/** As {@link OpenFile}: each call is done when it returns. */
export interface BlockingFile {
  read(target: Uint8Array, position: number): number;
  write(source: Uint8Array, position: number): number;
  truncate(sizeBytes: number): void;
  dataSync(): void;
  statSync(): OpenFileStat;
  close(): void;
}

/** A file system of either kind, for work that is written as a `Flow`. */
export interface EitherCalls {
  open(path: string, mode: OpenMode): Awaitable<EitherFile>;
  unlink(path: string): Awaitable<void>;
  syncDirectory(path: string): Awaitable<void>;
}

/** A file of either kind. */
export interface EitherFile {
  read(target: Uint8Array, position: number): Awaitable<number>;
  write(source: Uint8Array, position: number): Awaitable<number>;
  truncate(sizeBytes: number): Awaitable<void>;
  dataSync(): Awaitable<void>;
  statSync(): OpenFileStat;
  close(): Awaitable<void>;
}

/**
 * Identity of the directory, independent of its path: two directories held at the same time are one
 * if these are equal.
 */
export interface DirectoryIdentity {
  readonly device: bigint;
  readonly inode: bigint;
}

export function isSameDirectory(one: DirectoryIdentity, other: DirectoryIdentity): boolean {
  return one.device === other.device && one.inode === other.inode;
}

/** Reference by which another thread of the process opens the same directory. */
export interface DirectoryReference {
  readonly realPath: string;
  /** As in {@link DirectoryHold}. */
  readonly access: string;
  readonly identity: DirectoryIdentity;
}

/**
 * - `held`: names can be made in the directory.
 * - `removed`: it no longer exists.
 * - `elsewhere`: its path leads to another directory or to none, and there is no other way to it.
 */
export type HoldState = 'held' | 'removed' | 'elsewhere';

/** A directory that is held open. */
export interface DirectoryHold {
  /** Absolute and free of symbolic links: where the directory was when it was opened. */
  readonly realPath: string;
  /**
   * The path that calls use. It leads to the held directory and no other until `close`, where the
   * system has such paths; `realPath` where it has none.
   */
  readonly access: string;
  readonly identity: DirectoryIdentity;
  /** Looks whether calls by `access` still reach the directory. */
  check(): Promise<HoldState>;
  /** As `syncDirectory`, of this directory. */
  sync(): Promise<void>;
  /** Called once, after the last call that uses `access`. */
  close(): Promise<void>;
  /** `check` and `sync` that are done when they return, where the file system has such calls. */
  readonly blocking?: { check(): HoldState; sync(): void } | undefined;
}

export type OpenMode = 'r' | 'r+' | 'rs+' | 'wx';

export interface FileStat {
  readonly kind: 'file' | 'directory' | 'other';
  readonly sizeBytes: number;
}

/** Of an open file. */
export interface OpenFileStat {
  readonly sizeBytes: number;
  /** How many names lead to it; 0: it was removed, and ends with its last descriptor. */
  readonly linkCount: number;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'other';
}

export interface OpenFile {
  /**
   * Reads at `position` into `target`; resolves to the bytes read, 0 at the end, maybe fewer than
   * asked.
   */
  read(target: Uint8Array, position: number): Promise<number>;
  /**
   * As `read`, but waits: for a record that is asked for before its chunk has been read. A file
   * system without it offers no opening with `warm: 'background'`.
   */
  readSync?(target: Uint8Array, position: number): number;
  /** Writes at `position`; resolves to the bytes written, maybe fewer than asked. */
  write(source: Uint8Array, position: number): Promise<number>;
  /**
   * Writes the parts one behind the other, from `position` on, with one call; resolves to the bytes
   * written, maybe fewer than asked. No more atomic than `write`.
   */
  writev(sources: readonly Uint8Array[], position: number): Promise<number>;
  /** Sets the size. Bytes that are added read as zeros, and no space is taken for them. */
  truncate(sizeBytes: number): Promise<void>;
  /**
   * Lengthens the file to `sizeBytes` with zeros that take space, so that later writes there meet
   * no `ENOSPC` (copy-on-write file systems excepted). A file that is as long already stays as it
   * is. If it fails, for example with `ENOSPC`, the file is as long as before. Nothing else may
   * write behind the old end meanwhile. Durable after a sync; until then the file may have any
   * length between. Node.js has no fallocate: the zeros are written.
   */
  preallocate(sizeBytes: number): Promise<void>;
  /**
   * Gives back the space of `lengthBytes` from `position` on: the bytes read as zeros, the size
   * stays. What lies behind the end is ignored. Whole blocks (mostly 4 KiB) are freed, the rest is
   * overwritten with zeros. A later write there takes space again, and can meet `ENOSPC`. Durable
   * after a sync, also on a file opened with `rs+`; until then each part may have either content.
   * Rejects `EOPNOTSUPP` or `ENOTSUP` where the file system has no holes, with nothing changed.
   */
  trim(position: number, lengthBytes: number): Promise<void>;
  /** fdatasync: the data, and the size needed to read it back. */
  dataSync(): Promise<void>;
  /** fsync: as `dataSync`, and the file's times and permissions. No name: see `syncDirectory`. */
  sync(): Promise<void>;
  stat(): Promise<FileStat>;
  /**
   * Without waiting: for a look at each write, which a call through the thread pool would double
   * the cost of.
   */
  statSync(): OpenFileStat;
  close(): Promise<void>;
}

export interface FileLock {
  /**
   * Writes the owner record over the one before, at the beginning of the lock file. Bytes behind it
   * stay, also those of a longer record. Durable when it resolves.
   */
  writeRecord(record: Uint8Array): Promise<void>;
  /**
   * Writes one sector of a claim at `position`; all else in the file stays. Durable when it
   * resolves.
   */
  writeClaim(sector: Uint8Array, position: number): Promise<void>;
  /** As `writeClaim`, without a sync: for whoever reads the file while the lock is held. */
  writeNote(sector: Uint8Array, position: number): Promise<void>;
  /** Releases the lock; the file stays. Idempotent. */
  release(): Promise<void>;
}

export interface LeaseOptions {
  /** A lease not refreshed for this long may be taken by another host. 2,000 to 2^31 - 1. */
  readonly staleMs: number;
  /** Called at most once, when the lease turns out to be lost. Never throws into a timer. */
  readonly onLost: (cause: Error) => void;
  /** Called when a refresh was due and could not be done: `renew` is to be called. */
  readonly onOverdue?: (() => void) | undefined;
  /**
   * Given: a lease dated in the future, which would never go stale, is watched for `staleMs` and
   * taken over if nobody refreshes it meanwhile. Not given: it rejects `ELOCKED` as a fresh one
   * does.
   */
  readonly watch?: LeaseWatch | undefined;
}

export interface LeaseWatch {
  /** Ends the watch: `takeLease` rejects. */
  readonly signal?: AbortSignal | undefined;
  /** Called at least once a second with the time that the lease has been watched for. */
  readonly onProgress?: ((watchedMs: number) => void) | undefined;
}

export interface Lease {
  /**
   * True while the last refresh that is known to have succeeded *began* less than the stale limit
   * ago, by a monotonic clock.
   */
  isFresh(): boolean;
  /**
   * Refreshes a lease that went stale if it still bears the time last set here, then waits until
   * whoever took it at the same moment has shown itself, and looks again. One call at a time.
   * Whether somebody has had it in the meantime and gave it back, the lease does not tell.
   *
   * Rejects `ELOCKED` when somebody else has it, `ENOENT` when it is gone, or with the system's
   * error.
   */
  renew(): Promise<void>;
  /** Releases the lease. Idempotent; resolves also when it was lost. */
  release(): Promise<void>;
  /** Where the file system has such calls. */
  readonly blocking?: BlockingLease | undefined;
}

/** For a loop that starves the lease's timer. */
export interface BlockingLease {
  /** Refreshes the lease if that is due, as the timer does. To be called while it is fresh. */
  refresh(): void;
  /** As {@link Lease.renew}: holds up the thread for the time in which others show themselves. */
  renew(): void;
}
