const MIN_RESERVE_BYTES: number = 1024 * 1024;
/** Bytes for the headers of a group and of a new log, and the rest of its last block. */
const GROUP_OVERHEAD_BYTES: number = 8 * 1024;
/** Bytes that a merge may need in addition to those that it reads. */
const MERGE_OVERHEAD_BYTES: number = 64 * 1024;

/** Bytes of the store's files. */
export interface SpaceUsage {
  readonly snapshotBytes: number;
  /** Length of all logs, including reserved zeros and the prepared log. */
  readonly logFileBytes: number;
  /** The written part of the logs. */
  readonly logBytes: number;
  /** Merged logs that are retained for change feeds. */
  readonly retainedBytes: number;
}

/** Bytes that the remaining batches of a group may take. */
export interface Room {
  puts: number;
  deletes: number;
}

/** How `maxBytes` is divided: among files, the next merge, deletes, and what is left for puts. */
export class SpaceBudget {
  /** The option. Undefined: without a limit. */
  readonly maxBytes: number | undefined;
  /** The part of `maxBytes` that only deletes and merges may use. */
  readonly reserveBytes: number;
  readonly #retainBytes: number;
  readonly #usage: () => SpaceUsage;

  /** `retainBytes`: set aside for retained logs, so that retaining one leaves room for a merge. */
  constructor(
    limits: { readonly maxBytes: number | undefined; readonly retainBytes: number },
    usage: () => SpaceUsage,
  ) {
    const { maxBytes, retainBytes } = limits;
    this.maxBytes = maxBytes;
    this.#retainBytes = retainBytes;
    this.#usage = usage;
    this.reserveBytes =
      maxBytes === undefined ? 0 : Math.max(MIN_RESERVE_BYTES, Math.ceil(maxBytes / 50));
  }

  /** Bytes of all files. */
  get usedBytes(): number {
    const { snapshotBytes, logFileBytes, retainedBytes } = this.#usage();
    return snapshotBytes + logFileBytes + retainedBytes;
  }

  /** Bytes that the next merge may need, or the running one uses. */
  get mergeBytes(): number {
    const { snapshotBytes, logBytes } = this.#usage();
    return snapshotBytes + logBytes + MERGE_OVERHEAD_BYTES;
  }

  /** Bytes that count towards `maxBytes`. */
  get takenBytes(): number {
    const { snapshotBytes, logFileBytes } = this.#usage();
    return snapshotBytes + logFileBytes + this.#retainBytes + this.mergeBytes;
  }

  /** Limit for puts. */
  get limitBytes(): number {
    return (this.maxBytes ?? Infinity) - this.reserveBytes;
  }

  /** Bytes that a group may take. */
  get room(): Room {
    const { maxBytes } = this;
    if (maxBytes === undefined) return { puts: Infinity, deletes: Infinity };
    const takenBytes = this.takenBytes + GROUP_OVERHEAD_BYTES;
    return {
      puts: this.limitBytes - takenBytes,
      // The second term: if the store already exceeds its limit, only deletes can make it smaller.
      deletes: Math.max(maxBytes - takenBytes, this.reserveBytes - this.#usage().logBytes),
    };
  }
}
