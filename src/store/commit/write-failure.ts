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

/** `whenHeld` of the directory lock. In inline mode it throws instead of rejecting. */
export type WhenHeld = () => Promise<void> | undefined;

export interface WriteFailureParts {
  readonly health: Health;
  readonly whenHeld: WhenHeld;
}

/**
 * Handles a failed write to `log`, and returns the error that the group is rejected with. After a
 * lack of space the log is cut back to its previous length, so the group is `not-applied` and a
 * smaller one may succeed. After any other failure the content of the log is unknown, and the store
 * is poisoned.
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

/** As `writeFailure` where the group is committed elsewhere: nothing can be taken back. */
export function* poison(
  { health, whenHeld }: WriteFailureParts,
  path: string,
  cause: unknown,
): Flow<StoreError> {
  if (cause instanceof StorePoisonedError) {
    health.poisonWith(yield* causeOfLoss(whenHeld, cause));
    return health.poisonedWrite('unknown');
  }
  const message = `writing ${path} failed; the content of the file is unknown until the store is reopened`;
  health.poisonWith(new StorePoisonedError(message, { cause, path }));
  return health.poisonedWrite('unknown');
}

/**
 * The cause of a lost file. If the fence finds that another host has had the store, that is the
 * cause. Waits through a pause.
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
