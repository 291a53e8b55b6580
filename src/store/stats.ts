import type { TableMemory } from '../table/table.ts';
import type { ChangeStats } from './change-feeds.ts';
import type { CommitFigures } from './commit-stats.ts';
import type { MergeStats } from './merge-scheduler.ts';
import type { SpaceFigures } from './space-keeper.ts';

/** What `store.stats()` returns: a copy of the moment. */
export interface StoreStats {
  readonly state: 'open' | 'poisoned' | 'closing' | 'closed';
  readonly readOnly: boolean;
  readonly records: number;
  /** Sequence number of the last batch that was written. */
  readonly lastSequence: bigint;
  /** Of the last one that is durable: the same, where nothing is deferred. */
  readonly lastSyncedSequence: bigint;
  readonly logs: {
    readonly count: number;
    /** Bytes of all logs that no merge has taken in. */
    readonly bytes: number;
    /** Number of the log being written; undefined until the first write. */
    readonly liveNumber: number | undefined;
    /** Bytes at its end that the next sync makes durable. */
    readonly unsyncedBytes: number;
  };
  readonly queue: {
    readonly bytes: number;
    readonly batches: number;
    /** Batches for which there is no room in the queue yet. */
    readonly waitingBatches: number;
  };
  readonly commits: CommitFigures;
  readonly merges: MergeStats;
  readonly memory: TableMemory;
  /** Bytes on the disk, and the limit that they have. */
  readonly space: SpaceFigures;
  readonly changes: ChangeStats;
  /** Why the store takes no more writes, if it does not. */
  readonly poison: Error | undefined;
}
