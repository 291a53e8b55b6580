import type { LockOwner } from '../base/errors.ts';
import { withJsonForm } from '../base/json-form.ts';
import type { DirectoryLock } from '../directory/directory-lock.ts';
import type { Table, TableMemory } from '../table/table.ts';
import type { ChangeStats } from './changes/feed-set.ts';
import { CommitStats, type CommitFigures } from './observe/commit-stats.ts';
import type { Follower } from './follow/follower.ts';
import type { Health } from './commit/health.ts';
import { MergeCounters } from './observe/merge-figures.ts';
import type { MergeStats } from './merge/merge-scheduler.ts';
import type { RecoveryReport } from './recovery/recovery-report.ts';
import type { SnapshotFigures } from './store-snapshot.ts';
import type { SpaceFigures } from './space/space-keeper.ts';
import type { LastError } from './observe/store-observer.ts';
import type { Writer } from './writer.ts';

/** What `store.stats()` returns: a copy of the current figures. */
export interface StoreStats {
  /** As an absolute path. */
  readonly directory: string;
  readonly state: 'open' | 'poisoned' | 'closing' | 'closed';
  readonly readOnly: boolean;
  readonly records: number;
  /** Sequence number of the last visible batch. */
  readonly lastSequence: bigint;
  /** Sequence number of the last durable one of them: the same, unless batches are deferred. */
  readonly lastSyncedSequence: bigint;
  /** The holder of the lock: this store. Undefined for a read-only store, which takes no lock. */
  readonly lock: LockOwner | undefined;
  readonly logs: {
    readonly count: number;
    /** Bytes of all unmerged logs. */
    readonly bytes: number;
    /** Logs that were sealed since the store was opened. */
    readonly rotations: number;
    /** Number of the log being written; undefined until the first write. */
    readonly liveNumber: number | undefined;
    /** Bytes at the end of the live log that are not synced yet. */
    readonly unsyncedBytes: number;
  };
  readonly queue: {
    readonly bytes: number;
    readonly batches: number;
    /** Batches that wait because the queue is full. */
    readonly waitingBatches: number;
  };
  readonly commits: CommitFigures;
  readonly merges: MergeStats;
  readonly memory: TableMemory;
  /** Bytes on disk, and their limit. */
  readonly space: SpaceFigures;
  readonly changes: ChangeStats;
  /** Snapshots that `store.snapshot()` has returned. */
  readonly snapshots: SnapshotFigures;
  /**
   * Number of snapshot chunks that are not loaded yet. 0 unless opened with `warm: 'background'`.
   */
  readonly warming: { readonly chunksLeft: number };
  /** Of a store that was opened with `readOnly`; undefined for one that is open for writing. */
  readonly following: FollowingStats | undefined;
  /** What recovery found and did: as `store.recovery`. */
  readonly recovery: RecoveryReport;
  /** The last failure of a commit, a merge or a backup; it may be over. */
  readonly lastError: LastError | undefined;
  /** Why the store refuses writes; undefined if it does not. */
  readonly poison: Error | undefined;
}

/** How a read-only store keeps up with the directory. */
export interface FollowingStats {
  /** Milliseconds between two looks, as of the option `follow`; undefined: only at `refresh`. */
  readonly everyMs: number | undefined;
  /** Why the last look failed; undefined if it did not. */
  readonly lastError: Error | undefined;
}

/** Sources of the figures. `writer` is undefined for a read-only store. */
export interface StatsSources {
  readonly directory: string;
  readonly readOnly: boolean;
  /** Of the last visible batch. */
  readonly lastSequence: bigint;
  readonly table: Table;
  readonly health: Health;
  readonly lock: DirectoryLock | undefined;
  readonly recovery: RecoveryReport;
  readonly warming: StoreStats['warming'];
  readonly changes: ChangeStats;
  readonly snapshots: SnapshotFigures;
  readonly writer: Writer | undefined;
  /** Undefined for a store that is open for writing. */
  readonly follower: Follower | undefined;
}

/** Reads all figures at the same time. */
export function readStats(sources: StatsSources): StoreStats {
  const {
    directory,
    readOnly,
    lastSequence,
    table,
    health,
    lock,
    recovery,
    changes,
    snapshots,
    warming,
    writer,
    follower,
  } = sources;
  const observer = writer?.observer;
  const logs = writer?.logs;
  return withJsonForm({
    directory,
    state: health.state,
    readOnly,
    records: table.size,
    lastSequence,
    lastSyncedSequence: logs?.acknowledged.lastSequence ?? lastSequence,
    lock: lock && ownerOf(lock),
    logs: {
      count: logs?.logCount ?? recovery.logs,
      bytes: logs?.totalBytes ?? recovery.logBytes,
      rotations: observer?.rotations ?? 0,
      liveNumber: logs?.live?.number,
      unsyncedBytes: logs?.unsyncedBytes ?? 0,
    },
    queue: {
      bytes: writer?.queue.queuedBytes ?? 0,
      batches: writer?.queue.queuedBatches ?? 0,
      waitingBatches: writer?.queue.waitingBatches ?? 0,
    },
    commits: (observer?.commits ?? new CommitStats()).copy(),
    merges: writer?.merges.stats ?? noMerges(recovery),
    memory: table.memory,
    space: writer?.space.figures ?? spaceAsRead(recovery),
    changes,
    snapshots,
    warming,
    following: follower && { everyMs: follower.everyMs, lastError: follower.lastError },
    recovery,
    lastError: observer?.lastError,
    poison: health.poison,
  });
}

function ownerOf({ owner }: DirectoryLock): LockOwner {
  const { pid, hostName, openedAtMs } = owner;
  return { pid, hostName, openedAtMs };
}

/** Merge figures of a read-only store. */
function noMerges({ snapshot }: RecoveryReport): MergeStats {
  const snapshotBytes = snapshot?.bytes ?? 0;
  return { state: 'idle', snapshotBytes, ...new MergeCounters().copy() };
}

/** The space figures of a read-only store; see {@link SpaceFigures}. */
function spaceAsRead(report: RecoveryReport): SpaceFigures {
  return {
    usedBytes: report.logBytes + (report.snapshot?.bytes ?? 0),
    mergeBytes: 0,
    maxBytes: undefined,
    reserveBytes: 0,
    reserveFile: 'none',
    putBytes: undefined,
    diskFreeBytes: undefined,
    state: 'ample',
  };
}
