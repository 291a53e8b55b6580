import { CorruptionError, StoreError, systemCode } from '../../base/errors.ts';

const MAX_READINGS = 5;

type Outcome<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'error'; readonly error: unknown };

/**
 * Reads a directory in which a store may be open. A log that is read before its seal was written,
 * together with a log read afterwards, looks like damage; a file that a merge has removed looks
 * missing. So a fault is reported only if two consecutive readings find it in the same place.
 * `faultsOf` names the faults of a reading.
 *
 * Rejects like `read`, or with LODESTORE_IO if the directory keeps changing.
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

/** Identifies a fault by place and reason. */
export function faultName(fault: {
  readonly path: string;
  readonly offset: number;
  readonly reason: string;
}): string {
  return `${fault.offset} ${fault.path} ${fault.reason}`;
}

/** Errors that another reading may not have. Empty for permanent errors. */
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
    `${directory} changed during each of ${MAX_READINGS} readings: a store is writing there; try again`,
    { path: directory },
  );
}
