import type { StoreErrorCode } from './error-code.ts';
import {
  isLackOfSpace,
  StoreError,
  StoreFullError,
  systemCode,
  type WriteOutcome,
} from './errors.ts';

/** The operation that failed. */
export interface FailedWork {
  /** A clause, such as `the lock could not be taken`. */
  readonly what: string;
  /** The path to name if the system error has none. */
  readonly path: string;
  /** Default `LODESTORE_IO`. A lack of space is `LODESTORE_FULL` in any case. */
  readonly code?: StoreErrorCode;
  readonly outcome?: WriteOutcome;
}

/**
 * Maps a system error to a `StoreError`; there is no other mapping. The system error becomes the
 * `cause`, and its path is kept. Other errors are returned unchanged.
 */
export function storeErrorOf(error: unknown, work: FailedWork): unknown {
  const code = systemCode(error);
  const isSystem = error instanceof Error && !(error instanceof TypeError) && code !== undefined;
  if (!isSystem || error instanceof StoreError) return error;
  const path = pathOf(error) ?? work.path;
  const denied = code === 'ERR_ACCESS_DENIED' ? `; ${deniedRemedy(error)}` : '';
  const hint = code === 'ESPIPE' ? NO_FILE : denied;
  const message = `${work.what}: ${code}${meaningOf(error, code)} at ${path}${hint}`;
  const fields = { cause: error, path, outcome: work.outcome };
  if (isLackOfSpace(error)) return new StoreFullError(message, fields);
  return new StoreError(work.code ?? 'LODESTORE_IO', message, fields);
}

/** The file system seam has this code for it. */
const NO_FILE = '; it is a pipe, a socket or a device, not a file: move it elsewhere';

/**
 * Node's permission model (`--permission`) refuses what is not allowed explicitly, and always
 * refuses syncs.
 */
function deniedRemedy({ message }: Error): string {
  return /\bf(?:data)?sync API is disabled/.test(message)
    ? "Node's permission model does not allow syncs: under it a store can only be opened with readOnly"
    : "Node's permission model does not allow this: see --allow-fs-read, --allow-fs-write, --allow-addons, --allow-worker";
}

/** What the code means, from the message of a system error: `CODE: meaning, call 'path'`. */
function meaningOf({ message }: Error, code: string): string {
  const match = /^(E[A-Z0-9]+): ([^,]+), /.exec(message);
  return match?.[1] === code ? ` (${match[2]})` : '';
}

function pathOf(error: Error): string | undefined {
  const { path } = error as { path?: unknown };
  return typeof path === 'string' ? path : undefined;
}
