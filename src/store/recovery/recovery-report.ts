/** Progress of an open. */
export interface OpenProgress {
  /** `lease`: another host's lease, dated in the future, is watched before it is taken over. */
  readonly phase: 'lease' | 'logs' | 'snapshot';
  /** 0 in phase `lease`. */
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Milliseconds watched so far, of how many; in phase `lease` only. */
  readonly doneMs?: number;
  readonly totalMs?: number;
}

/** Where a crash cut the last log. The bytes after it were not synced and are dropped. */
export interface TornTail {
  readonly path: string;
  readonly offset: number;
  /** Bytes of the file after `offset`, including zeros. */
  readonly droppedBytes: number;
  readonly reason: string;
  /**
   * Deferred batches up to this sequence number were found after it and were dropped with it.
   * Undefined if none was found.
   */
  readonly unsyncedUpTo: bigint | undefined;
}

/**
 * What salvage could not keep. Without sequences, keys and `olderValuesMayShow`, every record is as
 * it was: a header, a seal, an index or a trailer was damaged.
 */
export interface Loss {
  /** The file that is damaged, or missing. */
  readonly path: string;
  /** Path of the original in `quarantine/`; undefined if it was missing. */
  readonly quarantined: string | undefined;
  readonly reason: string;
  /** Bytes [from, to) of the file that could not be used. */
  readonly fromOffset: number;
  readonly toOffset: number;
  /** Sequence numbers of the lost batches; the last is undefined if it is unknown. */
  readonly firstSequence: bigint | undefined;
  readonly lastSequence: bigint | undefined;
  /** Keys [first, last] of the lost records; the last is undefined if it is unknown. */
  readonly firstKey: bigint | undefined;
  readonly lastKey: bigint | undefined;
  /**
   * True: keys of lost updates may show older values, or reappear although they were deleted. If no
   * sequences and keys are given, it is unknown which.
   */
  readonly olderValuesMayShow: boolean;
}

/**
 * A file that salvage renamed to the name in its header, or moved to `quarantine/`. No record is
 * lost by it.
 */
export interface MovedFile {
  /** Its path before. */
  readonly from: string;
  /** Its path now: under its own name, or in `quarantine/`. */
  readonly to: string;
  /** Why, as a phrase about the file. */
  readonly reason: string;
}

/** What recovery found and did: `store.recovery`. */
export interface RecoveryReport {
  /** The snapshot that was read; undefined for a new store. */
  readonly snapshot:
    | {
        readonly number: number;
        readonly format: 'lodestore' | 'ancestor';
        readonly bytes: number;
        readonly records: number | undefined;
      }
    | undefined;
  /** Logs that were replayed. */
  readonly logs: number;
  readonly logBytes: number;
  /** Batches and updates in those logs. */
  readonly batches: number;
  readonly updates: number;
  /** Records after recovery. */
  readonly records: number;
  readonly lastSequence: bigint;
  readonly tornTail: TornTail | undefined;
  /** Names in the directory that are not the store's; never touched. */
  readonly foreignNames: readonly string[];
  /** Leftovers of merges and crashes that were removed. */
  readonly removed: readonly string[];
  /** Files that salvage has moved or renamed. */
  readonly moved: readonly MovedFile[];
  readonly losses: readonly Loss[];
  readonly threads: number;
  readonly milliseconds: number;
}
