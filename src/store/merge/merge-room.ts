import { DirectoryLostError, StoreError, StoreFullError } from '../../base/errors.ts';
import { storeErrorOf } from '../../base/store-error-of.ts';
import type { FileSystem } from '../../fs/file-system.ts';

/** With this much more than the old files hold there is room for any merge. */
const SPACE_SLACK_BYTES: number = 1024 * 1024;
/** What an estimate may be short of. */
const ESTIMATE_SLACK_BYTES: number = 64 * 1024;

/** A merge has not been begun, or has written nothing: the new snapshot would not fit. */
export class MergeFullError extends StoreFullError {
  readonly neededBytes: number;
  readonly missingBytes: number;

  constructor(directory: string, neededBytes: number, freeBytes: number) {
    super(
      `a merge needs about ${neededBytes} bytes in ${directory}, and ${freeBytes} are free; ` +
        'it is retried, and deletes make it smaller',
      { path: directory },
    );
    this.neededBytes = neededBytes;
    this.missingBytes = neededBytes - freeBytes;
  }
}

/** The room on the disk when a merge begins. */
export class MergeRoom {
  readonly #directory: string;
  readonly #freeBytes: number;
  /**
   * What the new snapshot may take. Undefined where it fits without doubt: then nothing is
   * estimated.
   */
  readonly limitBytes: number | undefined;

  private constructor(directory: string, freeBytes: number, oldBytes: number) {
    this.#directory = directory;
    this.#freeBytes = freeBytes;
    const isAmple = freeBytes >= oldBytes + SPACE_SLACK_BYTES;
    this.limitBytes = isAmple ? undefined : freeBytes - ESTIMATE_SLACK_BYTES;
  }

  /** `oldBytes`: of the snapshot and the logs that are to be merged. */
  static async measure(fs: FileSystem, directory: string, oldBytes: number): Promise<MergeRoom> {
    const freeBytes = await fs.freeBytes(directory).catch((error: unknown) => {
      throw mergeError(error, `the free space of ${directory} is unknown`, directory);
    });
    return new MergeRoom(directory, freeBytes, oldBytes);
  }

  /** @throws MergeFullError if the same merge has needed more, and told so */
  require(neededBytes: number): void {
    if (neededBytes <= this.#freeBytes) return;
    throw new MergeFullError(this.#directory, neededBytes, this.#freeBytes);
  }

  /** The error of a merge whose snapshot is estimated to be larger than `limitBytes`. */
  refusal(snapshotBytes: number): MergeFullError {
    const neededBytes = snapshotBytes + ESTIMATE_SLACK_BYTES;
    return new MergeFullError(this.#directory, neededBytes, this.#freeBytes);
  }
}

/**
 * What is no system error has failed in a thread, or in the code: it is the `cause` all the same.
 */
export function mergeError(error: unknown, what: string, path: string): unknown {
  const mapped = storeErrorOf(error, { what, path, code: 'LODESTORE_MERGE_FAILED' });
  if (mapped !== error || error instanceof DirectoryLostError) return mapped;
  return new StoreError('LODESTORE_MERGE_FAILED', what, { cause: error, path });
}
