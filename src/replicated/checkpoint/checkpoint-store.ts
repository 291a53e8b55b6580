import { StoreError, type StoreErrorFields } from '../../base/errors.ts';

/** Options of the calls of a {@link CheckpointStore}. */
export interface CheckpointCallOptions {
  /** Aborts the call: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** The content of an object to put. */
export interface CheckpointSource {
  readonly sizeBytes: number;
  /** Reads the content from its start, in pieces. May be called again, for a retry. */
  read(): AsyncIterable<Uint8Array>;
}

/** An object of a checkpoint store. */
export interface CheckpointObject {
  readonly name: string;
  readonly sizeBytes: number;
}

/**
 * Stores the objects of checkpoints, in a directory or a bucket. A name has 1 to 200 characters:
 * lower-case letters, digits, `-`, `_`, `.` and `/`. No part between slashes is empty or begins
 * with a dot.
 *
 * Every call may reject with a `CheckpointStoreError`.
 */
export interface CheckpointStore {
  /**
   * Stores or replaces an object atomically: a reader sees the old object (or none) or the whole
   * new one, also after a crash at any moment. When it resolves, the object is durable and `list`
   * returns it. If the source does not yield exactly `sizeBytes` bytes, it rejects and stores
   * nothing.
   */
  put(name: string, source: CheckpointSource, options?: CheckpointCallOptions): Promise<void>;
  /**
   * Yields the content of an object in pieces. Rejects with reason `not-found` if it does not
   * exist. The caller verifies the content.
   */
  get(name: string, options?: CheckpointCallOptions): AsyncIterable<Uint8Array>;
  /** Yields the objects whose names begin with `prefix`, in no order. */
  list(prefix: string, options?: CheckpointCallOptions): AsyncIterable<CheckpointObject>;
  /** Removes an object. Also resolves if it does not exist. */
  delete(name: string, options?: CheckpointCallOptions): Promise<void>;
  /** Frees connections. Idempotent. */
  close(): Promise<void>;
}

/**
 * Why a call failed. `damaged`: the content differs from what was put. `other-log`: the store has
 * checkpoints of another log.
 */
export type CheckpointFailure = 'unavailable' | 'not-found' | 'damaged' | 'other-log';

/** A checkpoint store cannot be reached, or does not have what is requested. */
export class CheckpointStoreError extends StoreError {
  override readonly name: string = 'CheckpointStoreError';
  readonly reason: CheckpointFailure;

  constructor(reason: CheckpointFailure, message: string, fields: StoreErrorFields = {}) {
    super('LODESTORE_CHECKPOINT_STORE', message, fields);
    this.reason = reason;
  }
}
