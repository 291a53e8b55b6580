import {
  FencedError,
  isLackOfSpace,
  StoreFullError,
  StorePoisonedError,
  type StoreError,
} from '../../base/errors.ts';
import { waited, type Flow } from '../../base/flow.ts';
import type { LogWriter } from '../../log/log-writer.ts';
import type { Health } from './health.ts';

/** As `whenHeld` of the directory's lock. One that cannot wait throws where that would reject. */
export type WhenHeld = () => Promise<void> | undefined;

export interface WriteFailureParts {
  readonly health: Health;
  readonly whenHeld: WhenHeld;
}

/**
 * What a group is rejected with whose write to `log` failed. Without room the log is cut back to
 * where it stood, so that the group is `not-applied` and the next one may be smaller. What any
 * other failure has left in the log is unknown: the store is poisoned.
 */
export function* writeFailure(
  parts: WriteFailureParts,
  log: LogWriter,
  error: unknown,
): Flow<StoreError> {
  const { path } = log;
  if (!isLackOfSpace(error)) return yield* poison(parts, path, error);
  try {
    yield* log.cutBack();
  } catch (cutError) {
    return yield* poison(parts, path, cutError);
  }
  const fields = { cause: error, outcome: 'not-applied' as const, path };
  return new StoreFullError(`there is no space for the batch in ${path}`, fields);
}

function* poison(
  { health, whenHeld }: WriteFailureParts,
  path: string,
  cause: unknown,
): Flow<StoreError> {
  if (cause instanceof StorePoisonedError) {
    health.poisonWith(yield* causeOfLoss(whenHeld, cause));
    return health.poisonedWrite('unknown');
  }
  const message = `writing ${path} failed; what it holds is unknown until the store is reopened`;
  health.poisonWith(new StorePoisonedError(message, { cause, path }));
  return health.poisonedWrite('unknown');
}

/**
 * Why files of ours are gone: the fence knows if another host has had the store meanwhile, and then
 * its word counts. Waits through a pause.
 */
export function* causeOfLoss(
  whenHeld: WhenHeld,
  lost: StorePoisonedError,
): Flow<StorePoisonedError> {
  try {
    yield* waited(whenHeld());
    return lost;
  } catch (error) {
    if (error instanceof FencedError) return error;
    throw error;
  }
}
