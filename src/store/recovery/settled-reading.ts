import { CorruptionError, StoreError, systemCode } from '../../base/errors.ts';

const MAX_READINGS = 5;

type Outcome<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'error'; readonly error: unknown };

/**
 * Reads a directory that a live store may be writing to: a log read before its seal was written,
 * beside a log read after, looks like damage, and a file that a merge has removed like a missing
 * one. What two readings in a row find at the same place is believed; `faultsOf` names what a
 * reading found.
 *
 * Rejects as `read` does, or with LODESTORE_IO when the directory does not hold still.
 */
export async function readSettled<T>(
  directory: string,
  read: () => Promise<T>,
  faultsOf: (value: T) => readonly string[],
): Promise<T> {
  let before: readonly string[] = [];
  for (let readings = 1; ; readings++) {
    const outcome = await outcomeOf(read);
    const faults = outcome.kind === 'value' ? faultsOf(outcome.value) : errorFaults(outcome.error);
    const isSettled =
      faults.length === before.length && faults.every((one) => before.includes(one));
    if (faults.length === 0 || isSettled) return settle(outcome);
    if (readings === MAX_READINGS) {
      if (faults.some((one) => before.includes(one))) return settle(outcome);
      throw neverStill(directory);
    }
    before = faults;
  }
}

async function outcomeOf<T>(read: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { kind: 'value', value: await read() };
  } catch (error) {
    return { kind: 'error', error };
  }
}

function settle<T>(outcome: Outcome<T>): T {
  if (outcome.kind === 'error') throw outcome.error;
  return outcome.value;
}

/** Names a place and what was found there. */
export function faultName(fault: {
  readonly path: string;
  readonly offset: number;
  readonly reason: string;
}): string {
  return `${fault.offset} ${fault.path} ${fault.reason}`;
}

/** Errors that another reading may not meet. None for those that it will. */
function errorFaults(error: unknown): string[] {
  if (error instanceof CorruptionError) {
    return [faultName({ path: error.path ?? '', offset: error.offset, reason: error.reason })];
  }
  const isStoreError = error instanceof StoreError;
  if (isStoreError && error.code === 'LODESTORE_NOT_FOUND') return [error.message];
  const cause = isStoreError ? error.cause : error;
  if (systemCode(cause) !== 'ENOENT') return [];
  return [`gone: ${String((cause as { path?: unknown }).path)}`];
}

function neverStill(directory: string): StoreError {
  return new StoreError(
    'LODESTORE_IO',
    `${directory} changed each of the ${MAX_READINGS} times that it was read: a store is busy there; try again`,
    { path: directory },
  );
}
