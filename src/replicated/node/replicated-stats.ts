import type { StoreStats } from '../../store/stats.ts';
import type { ReplicaRole } from './replica-host.ts';

/** How far a node is behind the shared log. */
export interface ReplicaLag {
  /** Known entries of the log that this node has not applied. */
  readonly entries: bigint;
}

/** The result of `ReplicatedStore.stats()`. */
export interface ReplicatedStats extends StoreStats {
  readonly replica: {
    readonly role: ReplicaRole;
    /** Position of the last entry whose effect is visible here. */
    readonly position: bigint;
    readonly epoch: bigint;
    readonly lag: ReplicaLag;
    readonly primaryAddress: string | undefined;
    /** Number of engine failures since the open. */
    readonly engineFailures: number;
    /** Why the node stopped; undefined while it runs. */
    readonly failure: Error | undefined;
  };
}
