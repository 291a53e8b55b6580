import { StoreError, type StoreErrorFields } from '../../base/errors.ts';

/** Options of the calls of a {@link CheckpointStore}. */
export interface CheckpointCallOptions {
  /** Ends the call: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** The content of an object that is put. */
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
 * Holds the objects of checkpoints: a directory, or a bucket. A name consists of 1 to 200
 * characters: lower-case letters, digits, `-`, `_`, `.` and `/`; no part between slashes is empty
 * or begins with a dot.
 *
 * Every call may reject with a `CheckpointStoreError`.
 */
export interface CheckpointStore {
  /**
   * Stores an object. It is atomic: a reader sees all of the object or nothing of it (of an object
   * that is replaced: all of the old or all of the new one), also after a crash at any moment. When
   * it resolves, the object is durable and `list` shows it. If the source yields another number of
   * bytes than `sizeBytes`, it rejects and stores nothing.
   */
  put(name: string, source: CheckpointSource, options?: CheckpointCallOptions): Promise<void>;
  /**
   * Yields the content of an object in pieces. Rejects with reason `not-found` if there is none.
   * The caller verifies the content.
   */
  get(name: string, options?: CheckpointCallOptions): AsyncIterable<Uint8Array>;
  /** Yields the objects whose name begins with `prefix`, in no order. */
  list(prefix: string, options?: CheckpointCallOptions): AsyncIterable<CheckpointObject>;
  /** Removes an object. Resolves also if there is none. */
  delete(name: string, options?: CheckpointCallOptions): Promise<void>;
  /** Frees connections. Idempotent. */
  close(): Promise<void>;
}

/** Why a call of a checkpoint store failed; `damaged`: the content is not what was put. */
export type CheckpointFailure = 'unavailable' | 'not-found' | 'damaged';

/** A checkpoint store cannot be reached, or does not have what was asked for. */
export class CheckpointStoreError extends StoreError {
  override readonly name: string = 'CheckpointStoreError';
  readonly reason: CheckpointFailure;

  constructor(reason: CheckpointFailure, message: string, fields: StoreErrorFields = {}) {
    super('LODESTORE_CHECKPOINT_STORE', message, fields);
    this.reason = reason;
  }
}
