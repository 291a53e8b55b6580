import type { FileSystem, OpenFile } from '../fs/file-system.ts';
import { readFully } from '../fs/file-window.ts';
import { writeZeros } from '../fs/write.ts';
import { isRefusedOpen } from '../base/errors.ts';
import { FILE_HEADER_BYTES } from '../format/file-header.ts';

/** First reservation of a log; each later one doubles the file, up to `LARGEST_RESERVE_STEP_BYTES`. */
export const FIRST_RESERVE_BYTES: number = 256 * 1024;

/**
 * An empty log whose zeros and whose name are durable. Both descriptors are kept as long as the log is written: a
 * process that has run out of them can go on with what it has.
 */
export interface PreparedLog {
  readonly number: number;
  readonly path: string;
  /** Open for durable writes. */
  readonly file: OpenFile;
  /** Open for zeros, for writes that are not durable yet, for their sync and for cuts. */
  readonly plain: OpenFile;
  readonly reservedBytes: number;
}

/** A sync failed: `cause` is the system's error. Never tried again on what it was to make durable. */
export class SyncError extends Error {
  override readonly name: string = 'SyncError';

  constructor(message: string, cause: unknown) {
    super(message, { cause });
  }
}

/**
 * Creates log `number` in the order that a commit depends on: the name (refused if it exists), zeros,
 * their sync, the directory's sync. On failure what was created is removed again.
 * @throws SyncError when one of the syncs failed, else the system's error
 */
export async function prepareLog(
  fs: FileSystem,
  directory: string,
  path: string,
  number: number,
  reserveBytes: number = FIRST_RESERVE_BYTES,
): Promise<PreparedLog> {
  const plain = await fs.open(path, 'wx');
  let file: OpenFile | undefined;
  try {
    // Before anything depends on it: this may fail for want of descriptors.
    file = await fs.open(path, 'rs+');
    await writeZeros(plain, 0, reserveBytes);
    await plain.dataSync().catch((error: unknown) => {
      throw new SyncError(`the zeros of ${path} could not be synced`, error);
    });
    await fs.syncDirectory(directory).catch((error: unknown) => {
      if (isRefusedOpen(error)) throw error;
      throw new SyncError(`the name of ${path} could not be synced`, error);
    });
    return { number, path, file, plain, reservedBytes: reserveBytes };
  } catch (error) {
    await file?.close().catch(() => undefined);
    await plain.close().catch(() => undefined);
    await fs.unlink(path).catch(() => undefined);
    throw error;
  }
}

/** Rejects unless the log at its path is the one that was prepared: as long, with nothing in it. */
export async function requireBlank(fs: FileSystem, prepared: PreparedLog): Promise<void> {
  const { sizeBytes, start } = await readStart(fs, prepared.path);
  const isBlank = start.every((byte) => byte === 0);
  if (isBlank && sizeBytes === prepared.reservedBytes) return;
  throw new Error(`${prepared.path} is not the log that was prepared here`);
}

export async function readStart(
  fs: FileSystem,
  path: string,
): Promise<{ readonly sizeBytes: number; readonly start: Uint8Array }> {
  const file = await fs.open(path, 'r');
  try {
    const { sizeBytes } = await file.stat();
    const buffer = new Uint8Array(FILE_HEADER_BYTES);
    return { sizeBytes, start: buffer.subarray(0, await readFully(file, buffer, 0)) };
  } finally {
    await file.close();
  }
}
