import { AbortedError, StoreError } from '../../base/errors.ts';
import { storeErrorOf } from '../../base/store-error-of.ts';

/**
 * What a backup or a restore rejects with: the store's own errors as they are, system errors as the
 * `cause` of one that names the path, and an abort as what it is whatever it has made fail. `what`
 * is a phrase for the work.
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
