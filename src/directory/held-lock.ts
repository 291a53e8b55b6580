import { FencedError } from '../base/errors.ts';
import { begin, finishAtOnce, waited, type Awaitable, type Flow } from '../base/flow.ts';
import { present } from '../base/assert.ts';
import type { Claim } from '../format/claim.ts';
import type { EitherCalls, FileLock, FileSystem, Lease } from '../fs/file-system.ts';
import type { ClaimKeeper } from './claim-file.ts';
import type { LeaseLoss } from './lease-loss.ts';
import type { OwnerRecord } from './owner-record.ts';

/**
 * The sole right to write to a directory, and the fence before every acknowledgement, rename and
 * removal.
 *
 * Two things make it up. The kernel's lock on `lodestore.lock` decides among the processes of one
 * machine, and goes with the process. The lease `lodestore.lease`, an empty directory, decides
 * among hosts: its holder sets a random modification time to it again and again, and whoever finds
 * that time older than `staleMs` removes the directory and makes its own. The lock file's content,
 * the owner record, names the last owner by a random nonce, and stays when the directory is closed.
 *
 * To take it: lock the file; see that an owner record of this machine is durable; make the lease;
 * write our record. A lease in the way is taken over at once if the record is of this machine,
 * since the free kernel lock proves that its holder is dead; when it is stale; or, dated in the
 * future, when it was watched for `staleMs` and did not move. Whoever took over waits for the
 * settle time and looks whether the lease is still its own: of two that took it at once, the last
 * one keeps it.
 *
 * It is held while the last refresh began less than `staleMs` ago, by a clock that cannot be set
 * and counts sleep. After a longer pause nobody knows: another host may have taken the lease,
 * written, and closed again, which leaves no lease. So nothing is acknowledged, renamed or removed
 * until all of this is so: the lease bears the time that we set last; it is refreshed; it bears the
 * new time still after the settle time; the owner record bears our nonce; the live log and the
 * prepared one are as we left them; and no second pause has come between. Any other outcome is a
 * `FencedError`, for good. A host that has had the store has removed our lease, signed with its own
 * nonce, and has cut the live log or removed the prepared one at its recovery: each of the three
 * alone would give it away.
 */
export interface DirectoryLock {
  readonly owner: OwnerRecord;
  /**
   * Undefined while the directory is known to be ours. Otherwise a promise that resolves when it is
   * known again, and rejects with the `FencedError` of the first cause when it is not ours. To be
   * asked before each acknowledgement, rename and removal, with no other wait in between.
   */
  whenHeld(): Promise<void> | undefined;
  /** As `whenHeld`, without waiting: throws `FencedError` unless the directory is ours now. */
  assertHeld(): void;
  /** A pause is being looked into: whoever cannot wait comes again later. */
  readonly isInDoubt: boolean;
  /**
   * Refreshes the lease if that is due, for a loop that starves its timer. What it meets, the fence
   * tells.
   */
  refreshNow(): void;
  /**
   * As `whenHeld`, for whoever cannot give way to the event loop: after a pause it holds up the
   * thread for a second, until it is known whose the directory is. Throws the `FencedError` of the
   * first cause; also while in doubt.
   */
  holdNow(): void;
  /**
   * Records what the directory must hold from now on; called only once all of it is durable. One
   * call at a time. Rejects with `FencedError` unless the directory is ours, or with the system's
   * error: the claim before stands then.
   */
  recordClaim(claim: Claim): Promise<void>;
  /**
   * `check` throws if the files that this process writes are not as it left them: asked after a
   * pause.
   */
  checkAfterPause(check: FileCheck): void;
  /** Idempotent. When it resolves, the directory can be opened again at once. */
  release(): Promise<void>;
}

/** Looks at files by calls of either kind. */
export type FileCheck = (calls: EitherCalls) => Flow<void>;

type State =
  | { readonly kind: 'held' }
  | { readonly kind: 'in-doubt'; readonly decided: Promise<void> }
  | { readonly kind: 'lost'; readonly error: FencedError }
  | { readonly kind: 'released' };

export interface HeldLockParts {
  readonly fs: FileSystem;
  readonly owner: OwnerRecord;
  readonly fileLock: FileLock;
  readonly lease: Lease;
  readonly loss: LeaseLoss;
  /** Whom the lock file names now. */
  readonly readOwner: (calls: EitherCalls) => Flow<OwnerRecord | undefined>;
  readonly claims: ClaimKeeper;
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
    return this.#parts.owner;
  }

  whenHeld(): Promise<void> | undefined {
    const state = this.#state;
    if (state.kind === 'held') return this.#parts.lease.isFresh() ? undefined : this.#decide();
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
    if (state.kind === 'held' && lease.isFresh()) return;
    if (state.kind === 'in-doubt') throw loss.ofPause();
    this.#requireNotLost();
    const files = present(fs.blocking, 'commits are inline where files have blocking calls');
    const blockingLease = present(lease.blocking, 'and so has the lease');
    finishAtOnce(this.#decided(files, () => blockingLease.renew()));
  }

  async recordClaim(claim: Claim): Promise<void> {
    this.assertHeld();
    await this.#parts.claims.write(claim);
  }

  checkAfterPause(check: FileCheck): void {
    this.#checkFiles = check;
  }

  /** A refresh was due, and could not be done. */
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

  #error(state: Extract<State, { kind: 'lost' | 'released' }>): FencedError {
    return state.kind === 'lost' ? state.error : this.#parts.loss.ofRelease();
  }

  #decide(): Promise<void> {
    const decided = this.#regain();
    this.#state = { kind: 'in-doubt', decided };
    // If no caller waits, only `onLost` is told of the loss.
    decided.catch(() => undefined);
    return decided;
  }

  async #regain(): Promise<void> {
    // Not before the state says so.
    await Promise.resolve();
    const { lease, fs } = this.#parts;
    await begin(this.#decided(fs, () => lease.renew()));
    this.#state = { kind: 'held' };
  }

  /** Throws unless the directory is ours, and remembers that it is not. */
  *#decided(calls: EitherCalls, renew: () => Awaitable<void>): Flow<void> {
    try {
      do yield* this.#proveOurs(calls, renew);
      while (!this.#parts.lease.isFresh());
    } catch (error) {
      this.lose(error instanceof FencedError ? error : this.#parts.loss.ofRefresh(error));
    }
    // It may have been lost or released in the meantime.
    this.#requireNotLost();
  }

  #requireNotLost(): void {
    const state = this.#state;
    if (state.kind === 'lost' || state.kind === 'released') throw this.#error(state);
  }

  *#proveOurs(calls: EitherCalls, renew: () => Awaitable<void>): Flow<void> {
    const { loss, owner, readOwner } = this.#parts;
    yield* waited(renew());
    const signed = yield* readOwner(calls);
    if (signed?.nonce !== owner.nonce) throw loss.ofOwner(signed?.hostName);
    try {
      yield* this.#checkFiles(calls);
    } catch (error) {
      throw loss.ofFiles(error);
    }
  }

  /**
   * The lease first: while the kernel lock is held, no opener here can meet a lease half released.
   */
  async #release(): Promise<void> {
    const { lease, fileLock, loss } = this.#parts;
    if (this.#state.kind !== 'lost') this.#state = { kind: 'released' };
    try {
      await lease.release();
    } catch (error) {
      throw loss.ofRemoval(error);
    } finally {
      await fileLock.release();
    }
  }
}
