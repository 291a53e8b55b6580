/** How far opening has come. */
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

/** Where a crash cut the last log: what stood there had not been synced, and is gone. */
export interface TornTail {
  readonly path: string;
  readonly offset: number;
  /** Bytes of the file behind `offset`, zeros included. */
  readonly droppedBytes: number;
  readonly reason: string;
  /**
   * Batches up to this sequence number were found behind, written without a sync (`durability`), and went with
   * it. Undefined where none was found.
   */
  readonly unsyncedUpTo: bigint | undefined;
}

/**
 * What salvage could not keep. With neither sequences nor keys no record is concerned: a header, a seal, an
 * index or a trailer was damaged.
 */
export interface Loss {
  /** The file that is damaged, or missing. */
  readonly path: string;
  /** Where its original is now; undefined if it was missing. */
  readonly quarantined: string | undefined;
  readonly reason: string;
  /** Bytes [from, to) of the file that could not be used. */
  readonly fromOffset: number;
  readonly toOffset: number;
  /** Sequence numbers of the batches that are gone; the last is undefined where no file tells it. */
  readonly firstSequence: bigint | undefined;
  readonly lastSequence: bigint | undefined;
  /** Keys [first, last] whose records are gone; the last is undefined where no file tells it. */
  readonly firstKey: bigint | undefined;
  readonly lastKey: bigint | undefined;
  /** True: keys that the lost updates concerned may show older values, or show though deleted. */
  readonly olderValuesMayShow: boolean;
}

/** A file that salvage gave the name that its header says, or set aside. No record is lost by it. */
export interface MovedFile {
  /** Where it stood. */
  readonly from: string;
  /** Where it is: under its own name, or in `quarantine/`. */
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
  /** Names in the directory that are none of the store's; left alone. */
  readonly foreignNames: readonly string[];
  /** Leftovers of merges and crashes that were removed. */
  readonly removed: readonly string[];
  /** Files that salvage has moved, before it gave anything up. */
  readonly moved: readonly MovedFile[];
  readonly losses: readonly Loss[];
  readonly threads: number;
  readonly milliseconds: number;
}
