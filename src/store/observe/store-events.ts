import type { StoreError } from '../../base/errors.ts';
import type { SpaceFigures } from '../space/space-keeper.ts';

/** Events of a store. None is named `error`, so a process without listeners keeps running. */
export interface StoreEvents {
  /** A log was sealed and replaced by the next one. */
  rotated: [{ readonly number: number; readonly path: string; readonly bytes: number }];
  /** Logs are being merged into a new snapshot. */
  mergeStarted: [
    { readonly logs: number; readonly logBytes: number; readonly oldSnapshotBytes: number },
  ];
  /** A merge is durable; the merged logs are removed. */
  merged: [{ readonly snapshotBytes: number; readonly durationMs: number }];
  /** A merge failed; `stats().merges.state` says whether it is retried. */
  mergeFailed: [Error];
  /**
   * A sync of a log took longer than the option `slowSyncMs`. Without a listener it is a process
   * warning, at most once a minute.
   */
  slowSync: [{ readonly syncMs: number; readonly path: string }];
  /**
   * Less than a tenth of the space for puts is left, or the reserve was removed; once per crossing.
   */
  lowSpace: [SpaceFigures];
  /** A fifth of the space for puts is free again, and the reserve exists again. */
  spaceRecovered: [SpaceFigures];
  /**
   * No worker thread could be started: opening and merging run on the main thread, in slices. Once
   * per store; the process is warned once too.
   */
  threadsUnavailable: [StoreError];
  /** The store refuses writes until it is reopened; reads still work. */
  poisoned: [Error];
  /**
   * Opened with `follow`: the directory could not be read. What was visible stays; it is tried
   * again. Once for each reason in a row.
   */
  followFailed: [Error];
  /** Opened with `warm: 'background'`: all records are in memory, and verified. */
  warmed: [];
  /**
   * Opened with `warm: 'background'`: a chunk of the snapshot cannot be read. Writes are refused.
   */
  damaged: [StoreError];
  /** Of a `ReplicatedStore`: it has become, or is no longer, the primary. */
  roleChanged: ['replica' | 'candidate' | 'primary'];
  /** Of a `ReplicatedStore`: it was rebuilt from a checkpoint; the error says why. */
  rebuilt: [StoreError];
  /** Of a `ReplicatedStore`: it follows the log no longer and refuses writes; reads still work. */
  replicaFailed: [Error];
  closed: [];
}

/** Emits an event later. Without listeners, calls `unheard` instead. */
export type Announce = <Name extends keyof StoreEvents>(
  name: Name,
  details: StoreEvents[Name],
  unheard?: () => void,
) => void;
