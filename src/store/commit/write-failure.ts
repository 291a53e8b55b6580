import {
  isLackOfSpace,
  StoreFullError,
  StorePoisonedError,
  type StoreError,
} from '../../base/errors.ts';
import type { Flow } from '../../base/flow.ts';
import type { LogWriter } from '../../log/log-writer.ts';
import type { Fence } from './fence.ts';

/**
 * Handles a failed write to `log`, and returns the error that the group is rejected with. After a
 * lack of space the log is cut back to its previous length, so the group is `not-applied` and a
 * smaller one may succeed. After any other failure the content of the log is unknown, and the store
 * is poisoned.
 */
export function* writeFailure(fence: Fence, log: LogWriter, error: unknown): Flow<StoreError> {
  const { path } = log;
  if (!isLackOfSpace(error)) return yield* poison(fence, path, error);
  try {
    yield* log.cutBack(fence);
  } catch (cutError) {
    return yield* poison(fence, path, cutError);
  }
  const fields = { cause: error, outcome: 'not-applied' as const, path };
  return new StoreFullError(`there is no space for the batch in ${path}`, fields);
}

/** As `writeFailure` where the group is committed elsewhere: nothing can be taken back. */
export function* poison(fence: Fence, path: string, cause: unknown): Flow<StoreError> {
  const { health } = fence;
  if (cause instanceof StorePoisonedError) {
    health.poisonWith(yield* fence.causeOfLoss(cause));
    return health.poisonedWrite('unknown');
  }
  const message = `writing ${path} failed; the content of the file is unknown until the store is reopened`;
  health.poisonWith(new StorePoisonedError(message, { cause, path }));
  return health.poisonedWrite('unknown');
}
