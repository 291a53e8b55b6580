import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { wallMs } from '../base/timers.ts';
import { assert } from '../base/assert.ts';
import type { FencedError } from '../base/errors.ts';
import { isLackOfSpace, systemCode, type StoreError } from '../base/errors.ts';
import { begin, waited, type Flow } from '../base/flow.ts';
import { storeErrorOf } from '../base/store-error-of.ts';
import { LEASE_NAME, LOCK_NAME } from '../format/file-name.ts';
import type { EitherCalls, FileLock, FileSystem, Lease, LeaseWatch } from '../fs/file-system.ts';
import { reading } from '../fs/file-window.ts';
import { MIN_STALE_MS } from '../fs/lease.ts';
import type { ProcessIdentity } from '../fs/process-identity.ts';
import { ClaimKeeper } from './claim-file.ts';
import { HeldDirectoryLock } from './held-lock.ts';
import type { DirectoryLock } from './held-lock.ts';
import { LeaseLoss } from './lease-loss.ts';
import { heldByHost, heldByProcess } from './owner-message.ts';
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
 * How long another host waits after a crash of this one. An event loop that stalls for less than
 * five sixths of it never loses the directory.
 */
export const DEFAULT_STALE_MS = 60_000;

// Also has the leases' code loaded by now, which the file system asks for only when it is needed.
assert(DEFAULT_STALE_MS >= MIN_STALE_MS, 'a lease stays fresh for as long as it is said to');

/** The record of an owner who is just opening may be half written: read again a few times. */
const NAME_READS = 5;
const NAME_READ_PAUSE_MS = 10;

export interface DirectoryLockOptions {
  /** A lease not refreshed for this long may be taken by another host. 2,000 to 2^31 - 1. */
  readonly staleMs?: number | undefined;
  /** Ends the watch of another host's lease that is dated in the future. */
  readonly signal?: AbortSignal | undefined;
  /** Called while such a lease is watched, at least once a second. */
  readonly onWatch?: ((watchedMs: number, staleMs: number) => void) | undefined;
  /** Called at most once, when the lease is lost: the directory may be another host's by now. */
  readonly onLost: (error: FencedError) => void;
  /** Milliseconds since 1970 for the owner record; the time of the call if not given. */
  readonly openedAtMs?: number | undefined;
  /** Tells two locks of one process apart; random if not given. */
  readonly nonce?: string | undefined;
  readonly epoch?: number | undefined;
}

/**
 * Takes the directory, as {@link DirectoryLock} says. Waits only for a lease of another host that
 * is dated in the future.
 *
 * Rejects with `StoreLockedError` while another process or store has the directory,
 * `StoreFullError` where there is no space for the record or the lease, and `StoreError`
 * (`LODESTORE_IO`) with the system's error as cause.
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
    throw storeErrorOf(error, {
      what: 'the lock on the directory could not be taken',
      path: attempt.lockPath,
    });
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
  /** Met before the lock was there. */
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
    this.#loss = new LeaseLoss(directory, this.#leasePath, this.#staleMs);
    this.#owner = {
      ...identity,
      nonce: options.nonce ?? randomUUID(),
      openedAtMs: options.openedAtMs ?? wallMs(),
      epoch: options.epoch,
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
      lease = await this.#takeLease(fileLock);
      await fileLock.writeRecord(encodeOwnerRecord(this.#owner));
      return await this.#hold(fileLock, lease);
    } catch (error) {
      // The first cause is reported; a lease that remains is taken over by the next open.
      await lease?.release().catch(() => undefined);
      await fileLock.release().catch(() => undefined);
      throw error;
    }
  }

  /** There may have been a pause since the lease was taken. */
  async #hold(fileLock: FileLock, lease: Lease): Promise<DirectoryLock> {
    const held = new HeldDirectoryLock({
      fs: this.#fs,
      owner: this.#owner,
      fileLock,
      lease,
      loss: this.#loss,
      readOwner: (calls) => this.#recordIn(calls),
      claims: new ClaimKeeper(this.#fs, this.lockPath, fileLock),
      onLost: this.#options.onLost,
    });
    this.#held = held;
    if (this.#earlyLoss !== undefined) held.lose(this.#loss.ofRefresh(this.#earlyLoss));
    else await held.whenHeld();
    return held;
  }

  /** Called with the kernel lock held: no process of this machine has the lease. */
  async #takeLease(fileLock: FileLock): Promise<Lease> {
    const previous = await this.#readRecord();
    if (previous === undefined) return this.#takeFirstLease(fileLock);
    await this.#makeSignatureDurable(fileLock, previous);
    try {
      return await this.#tryLease();
    } catch (error) {
      if (systemCode(error) !== 'ELOCKED') throw error;
    }
    // The record is read anew: another host may have opened since.
    const holder = await this.#readRecord();
    const isDead = holder !== undefined && isSameMachine(holder, this.#identity);
    if (isDead) await this.#fs.breakLease(this.#leasePath);
    try {
      return await this.#tryLease(isDead ? undefined : this.#watch());
    } catch (error) {
      throw await this.#refusal(error);
    }
  }

  /**
   * Nobody has signed yet. Signs first, durably, name and all: a death between lease and record, or
   * a power failure later, leaves no lease that looks like another host's.
   */
  async #takeFirstLease(fileLock: FileLock): Promise<Lease> {
    await this.#makeSignatureDurable(fileLock, this.#owner);
    try {
      return await this.#tryLease();
    } catch (error) {
      // The signature would have the next open here break a lease that another host keeps fresh.
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
   * Who signed last may have died before it was durable, name and all: then a power failure could
   * leave our lease alone, which would look like another host's.
   */
  async #makeSignatureDurable(fileLock: FileLock, record: OwnerRecord): Promise<void> {
    await fileLock.writeRecord(encodeOwnerRecord(record));
    await this.#fs.syncDirectory(this.#directory);
  }

  /**
   * Where there is no room for the lease's directory, the reserve gives it. Nobody has the lease
   * then: of one that is there, the system says that it exists.
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
      // Who cannot read the name is refused all the same.
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
