import { DirectoryLostError, StoreError, StoreFullError } from '../../base/errors.ts';
import { storeErrorOf } from '../../base/store-error-of.ts';
import type { FileSystem } from '../../fs/file-system.ts';

/** With this much more free space than the old files, any merge fits. */
const SPACE_SLACK_BYTES: number = 1024 * 1024;
/** Margin of an estimate. */
const ESTIMATE_SLACK_BYTES: number = 64 * 1024;

/** A merge was not started, or has written nothing, because the new snapshot would not fit. */
export class MergeFullError extends StoreFullError {
  readonly neededBytes: number;
  readonly missingBytes: number;

  constructor(directory: string, neededBytes: number, freeBytes: number) {
    super(
      `a merge needs about ${neededBytes} bytes in ${directory}, but ${freeBytes} are free; ` +
        'the merge is retried, and deletes reduce what it needs',
      { path: directory },
    );
    this.neededBytes = neededBytes;
    this.missingBytes = neededBytes - freeBytes;
  }
}

/** The free space on the disk when a merge begins. */
export class MergeRoom {
  readonly #directory: string;
  readonly #freeBytes: number;
  /** Limit of the new snapshot. Undefined if it certainly fits: then nothing is estimated. */
  readonly limitBytes: number | undefined;

  private constructor(directory: string, freeBytes: number, oldBytes: number) {
    this.#directory = directory;
    this.#freeBytes = freeBytes;
    const isAmple = freeBytes >= oldBytes + SPACE_SLACK_BYTES;
    this.limitBytes = isAmple ? undefined : freeBytes - ESTIMATE_SLACK_BYTES;
  }

  /** `oldBytes`: length of the snapshot and the logs to merge. */
  static async measure(fs: FileSystem, directory: string, oldBytes: number): Promise<MergeRoom> {
    const freeBytes = await fs.freeBytes(directory).catch((error: unknown) => {
      throw mergeError(error, `the free space of ${directory} is unknown`, directory);
    });
    return new MergeRoom(directory, freeBytes, oldBytes);
  }

  /** @throws MergeFullError if the same merge is known to need more */
  require(neededBytes: number): void {
    if (neededBytes <= this.#freeBytes) return;
    throw new MergeFullError(this.#directory, neededBytes, this.#freeBytes);
  }

  /** The error of a merge whose snapshot is estimated to exceed `limitBytes`. */
  refusal(snapshotBytes: number): MergeFullError {
    const neededBytes = snapshotBytes + ESTIMATE_SLACK_BYTES;
    return new MergeFullError(this.#directory, neededBytes, this.#freeBytes);
  }
}

/**
 * Maps the error of a merge. An error that is not a system error comes from a thread or a bug, and
 * becomes the `cause`.
 */
export function mergeError(error: unknown, what: string, path: string): unknown {
  const mapped = storeErrorOf(error, { what, path, code: 'LODESTORE_MERGE_FAILED' });
  if (mapped !== error || error instanceof DirectoryLostError) return mapped;
  return new StoreError('LODESTORE_MERGE_FAILED', what, { cause: error, path });
}
