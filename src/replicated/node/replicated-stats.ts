import type { StoreStats } from '../../store/stats.ts';
import type { ReplicaRole } from './replica-host.ts';

/** How far a node is behind the shared log. */
export interface ReplicaLag {
  /** Known entries of the log that this node has not applied. */
  readonly entries: bigint;
}

/** Checkpoints that a node knows of, and what it did. Counts start at 0 when it is opened. */
export interface ReplicaCheckpointFigures {
  /** Undefined: it has neither written nor listed one yet. */
  readonly newestPosition: bigint | undefined;
  /** Milliseconds since 1970 when this node wrote it, or saw it for the first time. */
  readonly newestSeenAtMs: number | undefined;
  /** As `newestSeenAtMs`, or when the node was opened. Undefined without a checkpoint store. */
  readonly unchangedSinceMs: number | undefined;
  readonly written: number;
  /** Failures to write, list or restore a checkpoint, or to trim the log up to one. */
  readonly failed: number;
  /** Trims of the shared log by this node. */
  readonly trims: number;
  readonly trimmedTo: bigint | undefined;
}

/** The result of `ReplicatedStore.stats()`. `directory` is the real path of the opened one. */
export interface ReplicatedStats extends StoreStats {
  readonly replica: {
    readonly role: ReplicaRole;
    /** Position of the last entry whose effect is visible here. */
    readonly position: bigint;
    /** Takeovers of the log up to there, by any node. */
    readonly epoch: bigint;
    /** The highest position that the log is known to have. */
    readonly logEnd: bigint;
    readonly lag: ReplicaLag;
    readonly primaryAddress: string | undefined;
    /** Number of engine failures since the open. */
    readonly engineFailures: number;
    readonly checkpoints: ReplicaCheckpointFigures;
    /** Why the node stopped; undefined while it runs. */
    readonly failure: Error | undefined;
  };
}
