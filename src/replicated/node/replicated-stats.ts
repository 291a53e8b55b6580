import type { StoreStats } from '../../store/stats.ts';
import type { ReplicaRole } from './replica-node.ts';

/** How far a node is behind the shared log. */
export interface ReplicaLag {
  /** Entries that the log is known to have and this node has not applied. */
  readonly entries: bigint;
}

/** What `ReplicatedStore.stats()` returns. */
export interface ReplicatedStats extends StoreStats {
  readonly replica: {
    readonly role: ReplicaRole;
    /** Of the last entry whose effect is visible here. */
    readonly position: bigint;
    readonly epoch: bigint;
    readonly lag: ReplicaLag;
    readonly primaryAddress: string | undefined;
    /** Times that the engine did not answer since the store was opened. */
    readonly engineFailures: number;
    /** Why the node has stopped; undefined if it has not. */
    readonly failure: Error | undefined;
  };
}
