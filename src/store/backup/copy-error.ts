import {
  AbortedError,
  isLackOfSpace,
  StoreError,
  StoreFullError,
  systemCode,
} from '../../base/errors.ts';

/**
 * What a backup or a restore rejects with: the store's own errors as they are, system errors as the `cause`
 * of one that names the path, and an abort as what it is whatever it has made fail. `what` is a phrase for
 * the work.
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
    return new AbortedError(`${what} was given up`, { cause: reason, path });
  }
  const code = systemCode(error);
  if (error instanceof StoreError || error instanceof TypeError || code === undefined) return error;
  const { path: culprit } = error as { path?: unknown };
  const fields = { cause: error, path: typeof culprit === 'string' ? culprit : path };
  if (isLackOfSpace(error)) return new StoreFullError(`there is no room for ${what}`, fields);
  return new StoreError('LODESTORE_IO', `${what} failed at ${fields.path}: ${code}`, fields);
}
