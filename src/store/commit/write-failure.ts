import {
  FencedError,
  isLackOfSpace,
  StoreFullError,
  StorePoisonedError,
  type StoreError,
} from '../../base/errors.ts';
import type { DirectoryLock } from '../../directory/held-lock.ts';
import type { LogWriter } from '../../log/log-writer.ts';
import type { Health } from './health.ts';

export interface WriteFailureParts {
  readonly health: Health;
  readonly lock: DirectoryLock;
}

/**
 * What a group is rejected with whose write to `log` failed. Without room the log is cut back to where it stood, so
 * that the group is `not-applied` and the next one may be smaller. What any other failure has left in the log is
 * unknown: the store is poisoned.
 */
export async function writeFailure(
  parts: WriteFailureParts,
  log: LogWriter,
  error: unknown,
): Promise<StoreError> {
  const { path } = log;
  if (!isLackOfSpace(error)) return poison(parts, path, error);
  try {
    await log.cutBack();
  } catch (cutError) {
    return poison(parts, path, cutError);
  }
  const fields = { cause: error, outcome: 'not-applied' as const, path };
  return new StoreFullError(`there is no room for the batch in ${path}`, fields);
}

async function poison(
  { health, lock }: WriteFailureParts,
  path: string,
  cause: unknown,
): Promise<StoreError> {
  if (cause instanceof StorePoisonedError) {
    health.poisonWith(await causeOfLoss(lock, cause));
    return health.poisonedWrite('unknown');
  }
  const message = `writing ${path} failed; what it holds is unknown until the store is reopened`;
  health.poisonWith(new StorePoisonedError(message, { cause, path }));
  return health.poisonedWrite('unknown');
}

/**
 * Why files of ours are gone: the fence knows if another host has had the store meanwhile, and then its word counts.
 * Waits through a pause.
 */
export async function causeOfLoss(
  lock: DirectoryLock,
  lost: StorePoisonedError,
): Promise<StorePoisonedError> {
  try {
    await lock.whenHeld();
    return lost;
  } catch (error) {
    if (error instanceof FencedError) return error;
    throw error;
  }
}
