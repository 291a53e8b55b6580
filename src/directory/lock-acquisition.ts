import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { wallMs } from '../base/timers.ts';
import { assert } from '../base/assert.ts';
import type { FencedError } from '../base/errors.ts';
import { isLackOfSpace, StoreError, systemCode } from '../base/errors.ts';
import { begin, waited, type Flow } from '../base/flow.ts';
import { storeErrorOf } from '../base/store-error-of.ts';
import { LEASE_NAME, LOCK_NAME, parseFileName } from '../format/file-name.ts';
import type { EitherCalls, FileLock, FileSystem, Lease, LeaseWatch } from '../fs/file-system.ts';
import { reading } from '../fs/file-window.ts';
import { MIN_STALE_MS } from '../fs/lease.ts';
import type { ProcessIdentity } from '../fs/process-identity.ts';
import { ClaimKeeper } from './claim-file.ts';
import { HeldDirectoryLock, REPLACED_SETTLE_MS } from './directory-lock.ts';
import type { DirectoryLock } from './directory-lock.ts';
import { LeaseLoss } from './lease-loss.ts';
import { heldByHost, heldByProcess, heldWithoutFile } from './owner-message.ts';
import {
  decodeOwnerRecord,
  encodeNoOwner,
  encodeOwnerRecord,
  isSameMachine,
  MAX_RECORD_BYTES,
} from './owner-record.ts';
import type { OwnerRecord } from './owner-record.ts';
import { giveUpOneReserve } from './reserve-names.ts';

/**
 * How long another host waits after a crash of this one. The lease is never lost if the event loop
 * stalls for less than five sixths of it.
 */
export const DEFAULT_STALE_MS = 60_000;

// Importing MIN_STALE_MS also loads the lease code, which the file system loads only on first use.
assert(DEFAULT_STALE_MS >= MIN_STALE_MS, 'a lease stays fresh for as long as it is said to');

/** An owner that is just opening may have written half of its record, so the read is retried. */
const NAME_READS = 5;
const NAME_READ_PAUSE_MS = 10;

export type IsOpenElsewhere = (
  owner: OwnerRecord,
  self: ProcessIdentity,
  lockPath: string,
) => Promise<boolean>;

export interface DirectoryLockOptions {
  /**
   * A lease that was not refreshed for this long may be taken by another host. 2,000 to 2^31 - 1.
   */
  readonly staleMs?: number | undefined;
  /** Cancels waiting for another host's lease that is dated in the future. */
  readonly signal?: AbortSignal | undefined;
  /** Called while waiting for such a lease, at least once a second. */
  readonly onWatch?: ((watchedMs: number, staleMs: number) => void) | undefined;
  /**
   * Whether the owner, of this machine, has the store open although the kernel lock is free.
   * Default: it has not.
   */
  readonly isOpenElsewhere?: IsOpenElsewhere | undefined;
  /** Waits while an owner that cannot be seen may still acknowledge. Default: a timer. */
  readonly wait?: ((delayMs: number) => Promise<unknown>) | undefined;
  /** Called at most once, when the lease is lost and another host may have the directory. */
  readonly onLost: (error: FencedError) => void;
  /** Milliseconds since 1970, for the owner record. Default: the time of the call. */
  readonly openedAtMs?: number | undefined;
  /** Distinguishes two locks of one process. Default: random. */
  readonly nonce?: string | undefined;
  readonly epoch?: number | undefined;
}

/**
 * Takes the directory, by the protocol of {@link DirectoryLock}. Waits for a lease of another host
 * that is dated in the future, and for 50 ms if the lock file is not the one of the last owner.
 *
 * Rejects with `StoreLockedError` if another process or store has the directory, with
 * `StoreFullError` if there is no space for the record or the lease, and with `StoreError`
 * (`LODESTORE_IO`), whose cause is the system error.
 */
export async function acquireDirectoryLock(
  fs: FileSystem,
  directory: string,
  identity: ProcessIdentity,
  options: DirectoryLockOptions,
): Promise<DirectoryLock> {
  const attempt = new LockAttempt(fs, directory, identity, options);
  try {
    return await attempt.run();
  } catch (error) {
    const what = 'the lock on the directory could not be taken';
    throw (
      (await attempt.leaseContentError(error)) ??
      storeErrorOf(error, { what, path: attempt.lockPath })
    );
  }
}

class LockAttempt {
  readonly lockPath: string;
  readonly #leasePath: string;
  readonly #fs: FileSystem;
  readonly #directory: string;
  readonly #identity: ProcessIdentity;
  readonly #staleMs: number;
  readonly #owner: OwnerRecord;
  readonly #loss: LeaseLoss;
  readonly #options: DirectoryLockOptions;
  #held: HeldDirectoryLock | undefined;
  /** A loss of the lease before `#held` was set. */
  #earlyLoss: Error | undefined;

  constructor(
    fs: FileSystem,
    directory: string,
    identity: ProcessIdentity,
    options: DirectoryLockOptions,
  ) {
    this.lockPath = join(directory, LOCK_NAME);
    this.#leasePath = join(directory, LEASE_NAME);
    this.#fs = fs;
    this.#directory = directory;
    this.#identity = identity;
    this.#staleMs = options.staleMs ?? DEFAULT_STALE_MS;
    this.#options = options;
    this.#loss = new LeaseLoss(directory, this.#staleMs);
    this.#owner = {
      ...identity,
      nonce: options.nonce ?? randomUUID(),
      openedAtMs: options.openedAtMs ?? wallMs(),
      epoch: options.epoch,
      lockFile: undefined,
    };
  }

  async run(): Promise<DirectoryLock> {
    const fileLock = await this.#fs.tryLock(this.lockPath);
    if (fileLock === undefined) {
      const owner = await this.#nameOwner();
      throw heldByProcess(this.#directory, owner, this.#identity, this.lockPath);
    }
    let lease: Lease | undefined;
    try {
      const previous = await this.#readRecord();
      const mustSettle = await this.#mayHaveUnseenOwner(fileLock, previous);
      const owner = { ...this.#owner, lockFile: fileLock.identity };
      // Should this process end before it has waited, the next open waits, too.
      const unsettled = mustSettle ? this.#owner : owner;
      lease = await this.#takeLease(fileLock, previous ?? 'none', unsettled);
      if (mustSettle) await (this.#options.wait ?? delay)(REPLACED_SETTLE_MS);
      await fileLock.writeRecord(encodeOwnerRecord(owner));
      return await this.#hold(fileLock, owner, lease);
    } catch (error) {
      // Reports the first error. If the lease remains, the next open takes it over.
      await lease?.release().catch(() => undefined);
      await fileLock.release().catch(() => undefined);
      throw error;
    }
  }

  /** If the lease could not be removed because something is in it: an error that names it. */
  async leaseContentError(cause: unknown): Promise<StoreError | undefined> {
    const code = systemCode(cause);
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') return undefined;
    const entries = await this.#fs.readDirectory(this.#leasePath).catch(() => []);
    const [entry] = entries;
    if (entry === undefined) return undefined;
    const path = join(this.#leasePath, entry.name);
    const message =
      `the lock on the directory could not be taken: the lease ${this.#leasePath} must be an empty ` +
      `directory, but holds ${JSON.stringify(entry.name)}; move it elsewhere, then open again`;
    return new StoreError('LODESTORE_IO', message, { path, cause });
  }

  /** Verifies the lock, because there may have been a pause since the lease was taken. */
  async #hold(fileLock: FileLock, owner: OwnerRecord, lease: Lease): Promise<DirectoryLock> {
    const file = {
      fileLock,
      owner,
      readOwner: (calls: EitherCalls) => this.#recordIn(calls),
      claims: new ClaimKeeper(this.#fs, this.lockPath, fileLock, 'claim'),
      notes: new ClaimKeeper(this.#fs, this.lockPath, fileLock, 'note'),
    };
    const { onLost } = this.#options;
    const parts = { fs: this.#fs, directory: this.#directory, loss: this.#loss };
    const held = new HeldDirectoryLock({ ...parts, file, lease, onLost });
    this.#held = held;
    if (this.#earlyLoss !== undefined) held.lose(this.#loss.ofRefresh(this.#earlyLoss));
    else await held.whenHeld();
    return held;
  }

  /**
   * The kernel lock must be held: then a process of this machine has the lease only if it has
   * locked an earlier file of this name.
   */
  async #takeLease(
    fileLock: FileLock,
    previous: OwnerRecord | 'none',
    owner: OwnerRecord,
  ): Promise<Lease> {
    if (previous === 'none') return this.#takeFirstLease(fileLock, owner);
    await this.#makeSignatureDurable(fileLock, previous);
    try {
      return await this.#tryLease();
    } catch (error) {
      if (systemCode(error) !== 'ELOCKED') throw error;
    }
    // Reads the record again, because another host may have opened the store meanwhile.
    const holder = await this.#readRecord();
    const isDead = holder !== undefined && isSameMachine(holder, this.#identity);
    if (isDead && (await this.#options.isOpenElsewhere?.(holder, this.#identity, this.lockPath))) {
      throw heldWithoutFile(this.#directory, holder, this.#identity, this.lockPath);
    }
    if (isDead) await this.#fs.breakLease(this.#leasePath);
    try {
      return await this.#tryLease(isDead ? undefined : this.#watch());
    } catch (error) {
      throw await this.#refusal(error);
    }
  }

  /**
   * Takes the first lease of a directory without an owner record. The record is written first, and
   * its content and name made durable. Otherwise a death between lease and record, or a later power
   * failure, could leave a lease that looks like another host's.
   */
  async #takeFirstLease(fileLock: FileLock, owner: OwnerRecord): Promise<Lease> {
    await this.#makeSignatureDurable(fileLock, owner);
    try {
      return await this.#tryLease();
    } catch (error) {
      // With our record, the next open on this machine would break a lease that another host keeps
      // fresh.
      await fileLock.writeRecord(encodeNoOwner());
      if (systemCode(error) !== 'ELOCKED') throw error;
    }
    try {
      return await this.#tryLease(this.#watch());
    } catch (error) {
      throw await this.#refusal(error);
    }
  }

  /**
   * Whether the lock file may have been replaced while its owner had it open: it is not the file
   * that the owner had locked. Then the free kernel lock proves nothing. A store without a record
   * may have lost its lock file; a directory without files of a store is new. Where files have no
   * identity, replacements are not detected.
   */
  async #mayHaveUnseenOwner(
    fileLock: FileLock,
    previous: OwnerRecord | undefined,
  ): Promise<boolean> {
    const { identity } = fileLock;
    if (identity === undefined) return false;
    if (previous !== undefined) return previous.lockFile !== identity;
    const entries = await this.#fs.readDirectory(this.#directory);
    return entries.some(({ name }) => {
      const { kind } = parseFileName(name);
      return kind !== 'lock' && kind !== 'lease' && kind !== 'foreign';
    });
  }

  /**
   * Makes the owner record and its name durable. The last owner may have died before they were. A
   * power failure could then leave only our lease, which would look like another host's.
   */
  async #makeSignatureDurable(fileLock: FileLock, record: OwnerRecord): Promise<void> {
    await fileLock.writeRecord(encodeOwnerRecord(record));
    await this.#fs.syncDirectory(this.#directory);
  }

  /**
   * If there is no space for the lease's directory, uses the reserve. In that case nobody has the
   * lease: for an existing one, the error would be EEXIST.
   */
  async #tryLease(watch?: LeaseWatch): Promise<Lease> {
    for (;;) {
      try {
        return await this.#takeLeaseOnce(watch);
      } catch (error) {
        const isFull = isLackOfSpace(error);
        if (!isFull || !(await giveUpOneReserve(this.#fs, this.#directory))) throw error;
      }
    }
  }

  #takeLeaseOnce(watch: LeaseWatch | undefined): Promise<Lease> {
    return this.#fs.takeLease(this.#leasePath, {
      staleMs: this.#staleMs,
      onLost: (cause) => {
        if (this.#held === undefined) this.#earlyLoss ??= cause;
        else this.#held.lose(this.#loss.ofRefresh(cause));
      },
      onOverdue: () => this.#held?.overdue(),
      watch,
    });
  }

  #watch(): LeaseWatch {
    const { signal, onWatch } = this.#options;
    return { signal, onProgress: (watchedMs) => onWatch?.(watchedMs, this.#staleMs) };
  }

  async #refusal(error: unknown): Promise<unknown> {
    if (systemCode(error) !== 'ELOCKED') return error;
    return this.#heldByHost(await this.#readRecord(), error);
  }

  #heldByHost(holder: OwnerRecord | undefined, cause: unknown): StoreError {
    return heldByHost(this.#directory, holder, this.#identity, {
      path: this.#leasePath,
      staleMs: this.#staleMs,
      cause,
    });
  }

  async #nameOwner(): Promise<OwnerRecord | undefined> {
    for (let reads = 1; ; reads++) {
      // If the record cannot be read, the open is refused without a name.
      const record = await this.#readRecord().catch(() => undefined);
      if (record !== undefined || reads === NAME_READS) return record;
      await delay(NAME_READ_PAUSE_MS);
    }
  }

  async #readRecord(): Promise<OwnerRecord | undefined> {
    return begin(this.#recordIn(this.#fs));
  }

  *#recordIn(calls: EitherCalls): Flow<OwnerRecord | undefined> {
    const file = yield* waited(calls.open(this.lockPath, 'r'));
    try {
      const buffer = new Uint8Array(MAX_RECORD_BYTES);
      return decodeOwnerRecord(buffer.subarray(0, yield* reading(file, buffer, 0)));
    } finally {
      yield* waited(file.close());
    }
  }
}
