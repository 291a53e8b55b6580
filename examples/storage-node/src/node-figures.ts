/**
 * The figures of a node: the status page and `/metrics` know nothing else of the engine. Counters
 * start at 0 with the process. Times are milliseconds since 1970.
 */

export type VolumeState = 'active' | 'sealed' | 'compacting' | 'retired' | 'missing';

export interface VolumeFigures {
  readonly number: number;
  /** `object` or `index`, and the class of its time to live if it has one. */
  readonly class: string;
  readonly state: VolumeState;
  /** Length of the file. */
  readonly sizeBytes: number;
  readonly liveBytes: number;
  readonly deadBytes: number;
  /** Marks about deletes, which a rebuild of the metadata needs while older volumes are there. */
  readonly markBytes: number;
}

/** The current work, and totals since the start. */
export interface CompactionFigures {
  /** Absent while nothing is compacted. */
  readonly volume?: number;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly rescuedRecords: number;
  readonly lostRecords: number;
  readonly skippedRecords: number;
  readonly reclaimedBytes: number;
  readonly retiredVolumes: number;
}

export interface ScrubFigures {
  /** Absent while nothing is scrubbed. */
  readonly volume?: number;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly verifiedBytes: number;
  readonly damagedRecords: number;
  /** The end of the last complete pass. */
  readonly finishedMs?: number;
}

/** PUTs of buckets with deferred acknowledgement. */
export interface WriteBufferFigures {
  /** Acknowledged, and not durable yet. */
  readonly puts: number;
  /** The memory that they occupy. */
  readonly bytes: number;
  readonly limitBytes: number;
  /** PUTs that wait for room. */
  readonly waiting: number;
  /** PUTs acknowledged before they were durable. */
  readonly acknowledged: number;
  /** Writes of up to 1,000 PUTs. */
  readonly flushes: number;
  readonly failedFlushes: number;
  /** Buckets whose last write failed: they refuse PUTs until one succeeds. */
  readonly failing: readonly { readonly bucket: string; readonly reason: string }[];
}

export interface NodeFigures {
  readonly objects: number;
  readonly buckets: number;
  readonly uploads: number;
  readonly volumes: readonly VolumeFigures[];
  readonly compaction: CompactionFigures;
  readonly scrub: ScrubFigures;
  readonly space: {
    readonly freeBytes: number;
    readonly totalBytes: number;
    readonly reserveBytes: number;
    /** A PUT of 1 MiB would be refused. */
    readonly isFull: boolean;
  };
  readonly writes: {
    readonly queuedBytes: number;
    readonly queued: number;
    readonly groups: number;
    readonly volumeSyncs: number;
    readonly writtenBytes: number;
  };
  readonly writeBuffer: WriteBufferFigures;
  readonly reads: {
    readonly readBytes: number;
    readonly damaged: number;
  };
  /** The newest is last; a bounded number. */
  readonly recentErrors: readonly { readonly atMs: number; readonly message: string }[];
}

export interface FiguresSource {
  /** Why no write is accepted until the node is opened again; undefined: writes are accepted. */
  readonly failure?: Error | undefined;
  /** As in the figures, without a look at the disk. */
  readonly isFull?: boolean;
  figures(): Promise<NodeFigures>;
}
