import { isRefusedOpen } from '../base/errors.ts';
import { waited, type Awaitable, type Flow } from '../base/flow.ts';
import type { EitherCalls, EitherFile } from '../fs/file-system.ts';
import { reading } from '../fs/file-window.ts';
import { writingZeros } from '../fs/write.ts';
import { FILE_HEADER_BYTES } from '../format/file-header.ts';

/**
 * First reservation of a log. Each later one doubles the file, up to `LARGEST_RESERVE_STEP_BYTES`.
 */
export const FIRST_RESERVE_BYTES: number = 256 * 1024;

/**
 * An empty log whose zeros and whose name are durable. Both descriptors stay open while the log is
 * written, so a process that runs out of descriptors can continue to write.
 */
export interface PreparedLog {
  readonly number: number;
  readonly path: string;
  /** Open for durable writes. */
  readonly file: EitherFile;
  /** For zeros, non-durable writes and their sync, and truncation. */
  readonly plain: EitherFile;
  readonly reservedBytes: number;
}

/** Whether the directory is still ours. See `DirectoryLock`. */
export interface Ownership {
  /** Undefined if it is. Otherwise resolves when it is again, and rejects if it is not. */
  whenHeld(): Promise<void> | undefined;
}

/** A sync failed. `cause` is the system error. The sync must never be retried. */
export class SyncError extends Error {
  override readonly name: string = 'SyncError';

  constructor(message: string, cause: unknown) {
    super(message, { cause });
  }
}

/**
 * Creates log `number` in the order that commits depend on: the name (refused if it exists), zeros,
 * their sync, the sync of the directory. On failure it removes the file again, if the directory is
 * still ours: after a pause, the name may be that of another host's log.
 *
 * @throws SyncError if one of the syncs failed, otherwise the system error
 */
export function* prepareLog(
  calls: EitherCalls,
  directory: string,
  path: string,
  number: number,
  fence: Ownership,
  reserveBytes: number = FIRST_RESERVE_BYTES,
): Flow<PreparedLog> {
  const plain = yield* waited(calls.open(path, 'wx'));
  let file: EitherFile | undefined;
  try {
    // Opened before anything depends on the log, because no descriptor may be available.
    file = yield* waited(calls.open(path, 'rs+'));
    yield* writingZeros(plain, 0, reserveBytes);
    yield* syncZeros(plain, path);
    yield* syncName(calls, directory, path);
    return { number, path, file, plain, reservedBytes: reserveBytes };
  } catch (error) {
    const opened = file;
    yield* tried(() => opened?.close());
    yield* tried(() => plain.close());
    yield* removeIfHeld(calls, path, fence);
    throw error;
  }
}

function* removeIfHeld(calls: EitherCalls, path: string, fence: Ownership): Flow<void> {
  try {
    yield* waited(fence.whenHeld());
    yield* waited(calls.unlink(path));
  } catch {
    // Left behind: another error is being reported.
  }
}

/** @throws SyncError */
export function* syncZeros(plain: EitherFile, path: string): Flow<void> {
  try {
    yield* waited(plain.dataSync());
  } catch (error) {
    throw new SyncError(`the zeros of ${path} could not be synced`, error);
  }
}

function* syncName(calls: EitherCalls, directory: string, path: string): Flow<void> {
  try {
    yield* waited(calls.syncDirectory(directory));
  } catch (error) {
    if (isRefusedOpen(error)) throw error;
    throw new SyncError(`the name of ${path} could not be synced`, error);
  }
}

/** Makes a call and ignores its failure. */
export function* tried(call: () => Awaitable<unknown>): Flow<void> {
  try {
    yield* waited(call());
  } catch {
    // Ignored: another error is being reported.
  }
}

/**
 * Throws unless the log at its path is the one that was prepared: of the same length, and all
 * zeros.
 */
export function* requireBlank(calls: EitherCalls, prepared: PreparedLog): Flow<void> {
  const { sizeBytes, start } = yield* readStart(calls, prepared.path);
  const isBlank = start.every((byte) => byte === 0);
  if (isBlank && sizeBytes === prepared.reservedBytes) return;
  throw new Error(`${prepared.path} is not the log that was prepared here`);
}

export function* readStart(
  calls: EitherCalls,
  path: string,
): Flow<{ readonly sizeBytes: number; readonly start: Uint8Array }> {
  const file = yield* waited(calls.open(path, 'r'));
  try {
    const { sizeBytes } = file.statSync();
    const buffer = new Uint8Array(FILE_HEADER_BYTES);
    return { sizeBytes, start: buffer.subarray(0, yield* reading(file, buffer, 0)) };
  } finally {
    yield* waited(file.close());
  }
}
