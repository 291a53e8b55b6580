import { AbortedError, StoreError } from '../../base/errors.ts';
import { storeErrorOf } from '../../base/store-error-of.ts';

/**
 * Maps the error of a backup or a restore. Errors of the store are returned unchanged. System
 * errors become the `cause` of one that names the path. After an abort the result is always the
 * abort. `what` is a phrase for the operation.
 */
export function copyError(
  error: unknown,
  what: string,
  path: string,
  signal: AbortSignal | undefined,
): unknown {
  if (signal?.aborted === true) {
    const { reason } = signal;
    if (reason instanceof StoreError) return reason;
    return new AbortedError(`${what} was aborted`, { cause: reason, path });
  }
  return storeErrorOf(error, { what: `${what} failed`, path });
}
