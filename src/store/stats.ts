import type { TableMemory } from '../table/table.ts';
import type { CommitFigures } from './commit-stats.ts';
import type { MergeStats } from './merge-scheduler.ts';

/** What `store.stats()` returns: a copy of the moment. */
export interface StoreStats {
  readonly state: 'open' | 'poisoned' | 'closing' | 'closed';
  readonly readOnly: boolean;
  readonly records: number;
  /** Sequence number of the last durable batch. */
  readonly lastSequence: bigint;
  readonly logs: {
    readonly count: number;
    /** Bytes of all logs that no merge has taken in. */
    readonly bytes: number;
    /** Number of the log being written; undefined until the first write. */
    readonly liveNumber: number | undefined;
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
  /** Why the store takes no more writes, if it does not. */
  readonly poison: Error | undefined;
}
