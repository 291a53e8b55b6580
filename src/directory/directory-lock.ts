import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { assert } from '../base/assert.ts';
import type { FencedError } from '../base/errors.ts';
import { isLackOfSpace, StoreError, StoreFullError, systemCode } from '../base/errors.ts';
import { LEASE_NAME, LOCK_NAME } from '../format/file-name.ts';
import type { FileLock, FileSystem, Lease } from '../fs/file-system.ts';
import { readFully } from '../fs/file-window.ts';
import { MIN_STALE_MS } from '../fs/lease.ts';
import type { ProcessIdentity } from '../fs/process-identity.ts';
import { HeldDirectoryLock, LeaseLoss } from './held-lock.ts';
import type { DirectoryLock } from './held-lock.ts';
import { heldByHost, heldByProcess } from './owner-message.ts';
import {
  decodeOwnerRecord,
  encodeOwnerRecord,
  isSameMachine,
  MAX_RECORD_BYTES,
} from './owner-record.ts';
import type { OwnerRecord } from './owner-record.ts';

export type { DirectoryLock } from './held-lock.ts';

/**
 * How long another host waits after a crash of this one. An event loop that stalls for less than five
 * sixths of it never loses the directory.
 */
export const DEFAULT_STALE_MS = 60_000;

// Also has the leases' code loaded by now, which the file system asks for only when it is needed.
assert(DEFAULT_STALE_MS >= MIN_STALE_MS, 'a lease stays fresh for as long as it is said to');

/** The record of an owner who is just opening may be half written: read again a few times. */
const NAME_READS = 5;
const NAME_READ_PAUSE_MS = 10;

export interface DirectoryLockOptions {
  /** A lease not refreshed for this long may be taken by another host. At least 2,000. */
  readonly staleMs?: number | undefined;
  /** Called at most once, when the lease is lost: the directory may be another host's by now. */
  readonly onLost: (error: FencedError) => void;
  /** Milliseconds since 1970 for the owner record; the time of the call if not given. */
  readonly openedAtMs?: number | undefined;
  /** Tells two locks of one process apart; random if not given. */
  readonly nonce?: string | undefined;
  readonly epoch?: number | undefined;
}

/**
 * Takes the kernel lock on the lock file, which decides among the processes of one machine, then
 * the lease, which other hosts see. A lease left behind by a dead process of this machine is taken
 * over without waiting for it to go stale.
 *
 * Rejects with `StoreLockedError` while somebody else has the directory, `StoreFullError` where
 * there is no space for the record or the lease, and `StoreError` (`LODESTORE_IO`) with the
 * system's error as cause.
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
    throw asStoreError(error, attempt.lockPath);
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
    this.#loss = new LeaseLoss(directory, this.#leasePath, options.onLost);
    this.#owner = {
      ...identity,
      nonce: options.nonce ?? randomUUID(),
      openedAtMs: options.openedAtMs ?? Date.now(),
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
      return new HeldDirectoryLock(this.#owner, fileLock, lease, this.#loss);
    } catch (error) {
      // The first cause is the one to tell; a lease that stays behind is taken over by the next open.
      await lease?.release().catch(() => undefined);
      await fileLock.release().catch(() => undefined);
      throw error;
    }
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
      await this.#refuseUnlessDead(error);
    }
    await this.#fs.breakLease(this.#leasePath);
    try {
      return await this.#tryLease();
    } catch (error) {
      throw await this.#refusal(error);
    }
  }

  /**
   * Nobody has signed yet. Signs first, durably, name and all: a death between lease and record, or a
   * power failure later, leaves no lease that looks like another host's.
   */
  async #takeFirstLease(fileLock: FileLock): Promise<Lease> {
    await this.#makeSignatureDurable(fileLock, this.#owner);
    try {
      return await this.#tryLease();
    } catch (error) {
      // The signature would have the next open here break a lease that another host keeps fresh.
      await fileLock.writeRecord(new Uint8Array(0));
      throw await this.#refusal(error);
    }
  }

  /**
   * Who signed last may have died before it was durable, name and all: then a power failure could leave
   * our lease alone, which would look like another host's.
   */
  async #makeSignatureDurable(fileLock: FileLock, record: OwnerRecord): Promise<void> {
    await fileLock.writeRecord(encodeOwnerRecord(record));
    await this.#fs.syncDirectory(this.#directory);
  }

  #tryLease(): Promise<Lease> {
    return this.#fs.takeLease(this.#leasePath, {
      staleMs: this.#staleMs,
      onLost: (cause) => this.#loss.report(cause),
    });
  }

  /** The record is read anew: another host may have opened since. */
  async #refuseUnlessDead(error: unknown): Promise<void> {
    const holder = await this.#readRecord();
    if (holder !== undefined && isSameMachine(holder, this.#identity)) return;
    throw this.#heldByHost(holder, error);
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
    const file = await this.#fs.open(this.lockPath, 'r');
    try {
      const buffer = new Uint8Array(MAX_RECORD_BYTES);
      return decodeOwnerRecord(buffer.subarray(0, await readFully(file, buffer, 0)));
    } finally {
      await file.close();
    }
  }
}

function asStoreError(error: unknown, lockPath: string): unknown {
  const code = systemCode(error);
  if (error instanceof StoreError || code === undefined) return error;
  const path = pathOf(error) ?? lockPath;
  const message = `the lock on the directory could not be taken: ${code} at ${path}`;
  if (isLackOfSpace(error)) return new StoreFullError(message, { cause: error, path });
  return new StoreError('LODESTORE_IO', message, { cause: error, path });
}

function pathOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('path' in error)) return undefined;
  return typeof error.path === 'string' ? error.path : undefined;
}
