import { FencedError } from '../base/errors.ts';
import type { FileLock, Lease } from '../fs/file-system.ts';
import type { OwnerRecord } from './owner-record.ts';

/** The sole right to write to a directory. */
export interface DirectoryLock {
  readonly owner: OwnerRecord;
  /**
   * Throws the `FencedError` with the first cause once the lease is lost, was not refreshed in time, or
   * is released. To be called before each acknowledgement, rename and removal.
   */
  assertHeld(): void;
  /** Idempotent. When it resolves, the directory can be opened again at once. */
  release(): Promise<void>;
}

/** The loss of the lease, told once and remembered. */
export class LeaseLoss {
  readonly #directory: string;
  readonly #leasePath: string;
  readonly #onLost: (error: FencedError) => void;
  #error: FencedError | undefined = undefined;

  constructor(directory: string, leasePath: string, onLost: (error: FencedError) => void) {
    this.#directory = directory;
    this.#leasePath = leasePath;
    this.#onLost = onLost;
  }

  report(cause: Error): void {
    if (this.#error !== undefined) return;
    this.#error = this.#fenced('was lost', cause);
    this.#onLost(this.#error);
  }

  /** The first cause, or that of a refresh which is overdue. */
  error(): FencedError {
    return this.#error ?? this.#fenced('was not refreshed in time', undefined);
  }

  #fenced(what: string, cause: Error | undefined): FencedError {
    return new FencedError(
      `the lease on ${this.#directory} ${what}: another host may have opened it; ` +
        `close this store and open it again`,
      { path: this.#leasePath, cause },
    );
  }
}

export class HeldDirectoryLock implements DirectoryLock {
  readonly owner: OwnerRecord;
  readonly #fileLock: FileLock;
  readonly #lease: Lease;
  readonly #loss: LeaseLoss;
  #released: Promise<void> | undefined = undefined;

  constructor(owner: OwnerRecord, fileLock: FileLock, lease: Lease, loss: LeaseLoss) {
    this.owner = owner;
    this.#fileLock = fileLock;
    this.#lease = lease;
    this.#loss = loss;
  }

  assertHeld(): void {
    if (this.#released !== undefined || !this.#lease.isFresh()) throw this.#loss.error();
  }

  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  /** The lease first: while the kernel lock is held, no opener here can meet a lease half released. */
  async #release(): Promise<void> {
    try {
      await this.#lease.release();
    } finally {
      await this.#fileLock.release();
    }
  }
}
