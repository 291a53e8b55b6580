import { DirectoryLostError, FencedError } from '../base/errors.ts';
import { begin, finishAtOnce, waited, type Awaitable, type Flow } from '../base/flow.ts';
import { present } from '../base/assert.ts';
import type { Claim } from '../format/claim.ts';
import type { EitherCalls, FileLock, FileSystem, Lease } from '../fs/file-system.ts';
import type { ClaimKeeper } from './claim-file.ts';
import type { LeaseLoss } from './lease-loss.ts';
import type { OwnerRecord } from './owner-record.ts';

/**
 * How long a look at the lock file is valid. One for each group would make a lone writer a tenth
 * slower.
 */
export const LOOK_VALID_MS = 10;

/**
 * How long an opener of a replaced lock file waits. Longer than a look is valid: the rest is for a
 * rename or removal that was passed to the system after a look.
 */
export const REPLACED_SETTLE_MS = 50;

/**
 * The exclusive right to write to a directory, and the fence before every acknowledgement, rename
 * and removal.
 *
 * It has two parts. The kernel lock on `lodestore.lock` excludes processes of the same machine and
 * ends with the process. The lease `lodestore.lease`, an empty directory, excludes other hosts: its
 * holder keeps setting a random modification time on it. Another host that finds that time older
 * than `staleMs` removes the directory and creates its own. The content of the lock file, the owner
 * record, identifies the last owner by a random nonce and remains after a close.
 *
 * To take it: lock the file; make sure that an owner record of this machine is durable; create the
 * lease; write our record. An existing lease is taken over in one of three cases. The record is of
 * this machine: the free kernel lock shows that the holder is dead, so there is no wait. Or the
 * lease is stale. Or it is dated in the future and did not change for `staleMs` while it was
 * watched. After a takeover, the new holder waits for the settle time and checks that the lease is
 * still its own: if two hosts took it at once, the last one keeps it.
 *
 * The lock is held while the last refresh began less than `staleMs` ago, by a monotonic clock that
 * includes sleep. After a longer pause it is in doubt: another host may have taken the lease,
 * written, and closed again, which leaves no lease. Nothing is acknowledged, renamed or removed
 * until all of the following holds:
 *
 * - the lease has the time that we set last;
 * - it is refreshed, and still has the new time after the settle time;
 * - the owner record has our nonce;
 * - the live log and the prepared one are as we left them;
 * - no second pause has occurred in between.
 *
 * Otherwise the lock is lost for good, with a `FencedError`. A host that opened the store in the
 * meantime has removed our lease, written its own nonce, and, at its recovery, truncated the live
 * log or removed the prepared one. Each of the three alone reveals it.
 *
 * The kernel lock is on a file, not on its name: if the lock file is removed, renamed or replaced,
 * it excludes nobody who locks the new one. An open that finds the lease of a living process
 * therefore looks whether the process has the earlier file open (`live-owner.ts`). That process may
 * be invisible, or its lease removed, too. So before each acknowledgement, rename and removal the
 * holder checks that the name leads to the file that it has locked, by a look less than
 * {@link LOOK_VALID_MS} old. And an opener that has locked another file than the one that the
 * record names waits {@link REPLACED_SETTLE_MS} before it reads a log or a snapshot. What the
 * holder acknowledges after the replacement was on disk before the end of that wait. A restart
 * finds the file that its record names, and does not wait.
 */
export interface DirectoryLock {
  readonly owner: OwnerRecord;
  /**
   * Undefined while the directory is known to be held by this process. Otherwise a promise: it
   * resolves when the directory is known to be held again, and rejects with the `FencedError` of
   * the first cause if it is not. Call it before each acknowledgement, rename and removal, with no
   * other await in between.
   */
  whenHeld(): Promise<void> | undefined;
  /**
   * Like `whenHeld`, without waiting: throws `FencedError` unless this process holds the directory
   * now.
   */
  assertHeld(): void;
  /**
   * Rejects, and the lock is lost, if the lock file was removed, renamed or replaced. Does not
   * examine the lease.
   */
  requireFile(): Promise<void>;
  /** A pause is being investigated. Callers that cannot wait should retry later. */
  readonly isInDoubt: boolean;
  /**
   * Refreshes the lease if that is due, for a loop that starves its timer. The fence reports any
   * failure.
   */
  refreshNow(): void;
  /**
   * Like `whenHeld`, for callers that cannot yield to the event loop. After a pause it blocks the
   * thread for about a second, until ownership is known. Throws the `FencedError` of the first
   * cause, also while in doubt.
   */
  holdNow(): void;
  /**
   * Records what the directory must hold from now on. Call it only when all of that is durable, one
   * call at a time. Rejects with `FencedError` unless this process holds the directory, or with the
   * system error. The previous claim then remains.
   */
  recordClaim(claim: Claim): Promise<void>;
  /**
   * As `recordClaim`, without a sync. A note is valid while the store is open; recovery ignores it.
   */
  recordNote(note: Claim): Promise<void>;
  /**
   * Sets the check that runs after a pause. It throws if the files that this process writes are not
   * as it left them.
   */
  checkAfterPause(check: FileCheck): void;
  /** Idempotent. After it resolves, the directory can be opened again at once. */
  release(): Promise<void>;
}

/** Checks files by blocking or non-blocking calls. */
export type FileCheck = (calls: EitherCalls) => Flow<void>;

type State =
  | { readonly kind: 'held' }
  | { readonly kind: 'in-doubt'; readonly decided: Promise<void> }
  | { readonly kind: 'lost'; readonly error: FencedError }
  | { readonly kind: 'released' };

/** The lock file of a directory: the kernel lock on it, and its records. */
export interface LockFile {
  readonly fileLock: FileLock;
  /** The record that this process has written. */
  readonly owner: OwnerRecord;
  /** Reads the record that is there now. */
  readonly readOwner: (calls: EitherCalls) => Flow<OwnerRecord | undefined>;
  readonly claims: ClaimKeeper;
  readonly notes: ClaimKeeper;
}

export interface HeldLockParts {
  readonly fs: FileSystem;
  readonly directory: string;
  readonly file: LockFile;
  readonly lease: Lease;
  readonly loss: LeaseLoss;
  readonly onLost: (error: FencedError) => void;
}

export class HeldDirectoryLock implements DirectoryLock {
  readonly #parts: HeldLockParts;
  #state: State = { kind: 'held' };
  #checkFiles: FileCheck = function* () {};
  #released: Promise<void> | undefined = undefined;

  constructor(parts: HeldLockParts) {
    this.#parts = parts;
  }

  get owner(): OwnerRecord {
    return this.#parts.file.owner;
  }

  whenHeld(): Promise<void> | undefined {
    const state = this.#state;
    if (state.kind === 'held') {
      if (!this.#parts.lease.isFresh()) return this.#decide();
      return this.#isFileInPlace(LOOK_VALID_MS) ? undefined : this.#fileLost();
    }
    return state.kind === 'in-doubt' ? state.decided : Promise.reject(this.#error(state));
  }

  assertHeld(): void {
    const state = this.#state;
    if (state.kind === 'held' && this.#parts.lease.isFresh()) return;
    if (state.kind === 'held' || state.kind === 'in-doubt') throw this.#parts.loss.ofPause();
    throw this.#error(state);
  }

  get isInDoubt(): boolean {
    return this.#state.kind === 'in-doubt';
  }

  refreshNow(): void {
    if (this.#state.kind === 'held') this.#parts.lease.blocking?.refresh();
  }

  holdNow(): void {
    const { lease, fs, loss } = this.#parts;
    const state = this.#state;
    const files = present(fs.blocking, 'commits are inline where files have blocking calls');
    if (state.kind === 'held' && lease.isFresh()) {
      if (!this.#isFileInPlace(LOOK_VALID_MS)) finishAtOnce(this.#loseFile(files));
      return;
    }
    if (state.kind === 'in-doubt') throw loss.ofPause();
    this.#requireNotLost();
    const blockingLease = present(lease.blocking, 'and so has the lease');
    finishAtOnce(this.#decided(files, () => blockingLease.renew()));
  }

  async requireFile(): Promise<void> {
    if (this.#state.kind === 'held' && !this.#isFileInPlace(0)) await this.#fileLost();
  }

  async recordClaim(claim: Claim): Promise<void> {
    this.assertHeld();
    await this.#parts.file.claims.write(claim);
  }

  async recordNote(note: Claim): Promise<void> {
    this.assertHeld();
    await this.#parts.file.notes.write(note);
  }

  checkAfterPause(check: FileCheck): void {
    this.#checkFiles = check;
  }

  /** A refresh was due but could not be done. */
  overdue(): void {
    if (this.#state.kind === 'held') void this.#decide();
  }

  /** The lease belongs to another holder. */
  lose(error: FencedError): void {
    if (this.#state.kind !== 'held' && this.#state.kind !== 'in-doubt') return;
    this.#state = { kind: 'lost', error };
    this.#parts.onLost(error);
  }

  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  #isFileInPlace(maxAgeMs: number): boolean {
    return this.#parts.file.fileLock.isInPlace?.(maxAgeMs) !== false;
  }

  async #fileLost(): Promise<void> {
    await begin(this.#loseFile(this.#parts.fs));
  }

  /** @throws FencedError; DirectoryLostError if the directory itself is lost */
  *#loseFile(calls: EitherCalls): Flow<never> {
    try {
      yield* waited(calls.syncDirectory(this.#parts.directory));
    } catch (error) {
      if (error instanceof DirectoryLostError) throw error;
    }
    const error = this.#parts.loss.ofLockFile();
    this.lose(error);
    throw error;
  }

  #error(state: Extract<State, { kind: 'lost' | 'released' }>): FencedError {
    return state.kind === 'lost' ? state.error : this.#parts.loss.ofRelease();
  }

  #decide(): Promise<void> {
    const decided = this.#regain();
    this.#state = { kind: 'in-doubt', decided };
    // Without a waiting caller, only `onLost` reports the loss.
    decided.catch(() => undefined);
    return decided;
  }

  async #regain(): Promise<void> {
    // Continues after the state is set to `in-doubt`.
    await Promise.resolve();
    const { lease, fs } = this.#parts;
    await begin(this.#decided(fs, () => lease.renew()));
  }

  /** Throws unless this process holds the directory, and records the loss. */
  *#decided(calls: EitherCalls, renew: () => Awaitable<void>): Flow<void> {
    try {
      do yield* this.#proveOurs(calls, renew);
      while (!this.#parts.lease.isFresh());
      if (!this.#isFileInPlace(LOOK_VALID_MS)) yield* this.#loseFile(calls);
    } catch (error) {
      this.lose(error instanceof FencedError ? error : this.#parts.loss.ofRefresh(error));
    }
    // The lock may have been lost or released meanwhile.
    this.#requireNotLost();
    if (this.#state.kind === 'in-doubt') this.#state = { kind: 'held' };
  }

  #requireNotLost(): void {
    const state = this.#state;
    if (state.kind === 'lost' || state.kind === 'released') throw this.#error(state);
  }

  *#proveOurs(calls: EitherCalls, renew: () => Awaitable<void>): Flow<void> {
    const { loss, file } = this.#parts;
    const { owner, readOwner } = file;
    yield* waited(renew());
    if (!this.#isFileInPlace(0)) yield* this.#loseFile(calls);
    const signed = yield* readOwner(calls);
    if (signed?.nonce !== owner.nonce) throw loss.ofOwner(signed?.hostName);
    try {
      yield* this.#checkFiles(calls);
    } catch (error) {
      throw loss.ofFiles(error);
    }
  }

  /**
   * Releases the lease first: while the kernel lock is held, no other open on this machine can see
   * a half-released lease.
   */
  async #release(): Promise<void> {
    const { lease, file, loss } = this.#parts;
    if (this.#state.kind !== 'lost') this.#state = { kind: 'released' };
    try {
      await lease.release();
    } catch (error) {
      throw loss.ofRemoval(error);
    } finally {
      await file.fileLock.release();
    }
  }
}
