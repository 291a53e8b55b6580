import type { StoreError } from '../../base/errors.ts';
import type { SpaceFigures } from '../space/space-keeper.ts';

/** Events of a store. None is named `error`: a process that does not listen goes on. */
export interface StoreEvents {
  /** A log is sealed, and the next one has taken its place. */
  rotated: [{ readonly number: number; readonly path: string; readonly bytes: number }];
  /** Logs are being merged into a new snapshot. */
  mergeStarted: [
    { readonly logs: number; readonly logBytes: number; readonly oldSnapshotBytes: number },
  ];
  /** A merge is durable: the logs that it took in are gone. */
  merged: [{ readonly snapshotBytes: number; readonly durationMs: number }];
  /** A merge failed; `stats().merges` says whether it will be tried again. */
  mergeFailed: [Error];
  /**
   * A write of a log took longer than the option `slowSyncMs` to become durable. Where nobody listens, a
   * process warning says so, at most once a minute.
   */
  slowSync: [{ readonly syncMs: number; readonly path: string }];
  /** Less than a tenth is left of what puts may use, or the reserve has been given up; once per crossing. */
  lowSpace: [SpaceFigures];
  /** A fifth is free again, and the reserve is back. */
  spaceRecovered: [SpaceFigures];
  /**
   * No worker thread could be started: opening and merging run on the main thread, in slices. Once per store; the
   * process is warned once too.
   */
  threadsUnavailable: [StoreError];
  /** The store takes no more writes until it is reopened; reads go on. */
  poisoned: [Error];
  /** Opened with `warm: 'background'`: all records are in memory, and verified. */
  warmed: [];
  /** Opened with `warm: 'background'`: a part of the snapshot turned out to be unreadable. Writes are refused. */
  damaged: [StoreError];
  closed: [];
}

/** Tells the listeners of an event, later; `unheard` is called then if there are none. */
export type Announce = <Name extends keyof StoreEvents>(
  name: Name,
  details: StoreEvents[Name],
  unheard?: () => void,
) => void;
