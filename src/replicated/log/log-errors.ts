import { StoreError, type StoreErrorFields } from '../../base/errors.ts';

/**
 * The engine of a shared log, a shard map or an election cannot be reached or did not answer. The
 * result of the call is unknown; the caller repeats it.
 */
export class LogUnavailableError extends StoreError {
  override readonly name: string = 'LogUnavailableError';

  constructor(message: string, fields: StoreErrorFields = {}) {
    super('LODESTORE_LOG_UNAVAILABLE', message, fields);
  }
}

/** The engine has a version or a setting that cannot keep the guarantees of a shared log. */
export class UnfitEngineError extends StoreError {
  override readonly name: string = 'UnfitEngineError';
  /** The unfit version or setting, as the engine calls it. */
  readonly setting: string;

  constructor(setting: string, message: string, fields: StoreErrorFields = {}) {
    super('LODESTORE_UNFIT_ENGINE', message, fields);
    this.setting = setting;
  }
}

export interface LogLossDetail {
  /** The position at which the shared log and the store differ. */
  readonly position: bigint;
  /** What was found at that position, as a phrase. */
  readonly reason: string;
}

/**
 * The shared log lost entries that it had acknowledged, or has other entries than the store
 * applied. The store stops following it. `ReplicatedStore.repair` continues the log from the most
 * advanced replica.
 */
export class LogLostError extends StoreError {
  override readonly name: string = 'LogLostError';
  readonly position: bigint;
  readonly reason: string;

  constructor(detail: LogLossDetail, fields: StoreErrorFields = {}) {
    const message = `the shared log is not the one that this store has applied: position ${detail.position}: ${detail.reason}`;
    super('LODESTORE_LOG_LOST', message, fields);
    this.position = detail.position;
    this.reason = detail.reason;
  }
}

/**
 * A write, or a read that requires the newest state, was sent to a node that is not the primary.
 */
export class NotPrimaryError extends StoreError {
  override readonly name: string = 'NotPrimaryError';
  /** The address that the primary announced; undefined if unknown. */
  readonly address: string | undefined;

  constructor(message: string, address: string | undefined, fields: StoreErrorFields = {}) {
    super('LODESTORE_NOT_PRIMARY', message, fields);
    this.address = address;
  }
}

/** The log was repaired at this position: this store's history ends before it. */
export class RepairedError extends LogLostError {
  /** Of the repair. Checkpoints of an earlier epoch have entries that the log has lost. */
  readonly epoch: bigint;

  constructor(position: bigint, epoch: bigint) {
    super({ position, reason: 'the log was repaired there' });
    this.epoch = epoch;
  }
}
