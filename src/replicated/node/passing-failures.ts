import { CheckpointStoreError } from '../checkpoint/checkpoint-store.ts';
import { LogUnavailableError } from '../log/log-errors.ts';

/** True if the engine or the checkpoint store cannot be reached: the operation is retried. */
export function isPassing(error: unknown): boolean {
  if (error instanceof CheckpointStoreError) return error.reason === 'unavailable';
  return error instanceof LogUnavailableError;
}

/** Why a node that is elected does not take over yet. */
export function notRebuilt(): CheckpointStoreError {
  const message = 'the store must be rebuilt from a checkpoint before it takes over';
  return new CheckpointStoreError('unavailable', message);
}
