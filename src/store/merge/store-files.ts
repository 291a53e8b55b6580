import type { KeptFile, LogKeeper } from '../commit/log-keeper.ts';
import type { SnapshotKeeper } from './snapshot-keeper.ts';

/** The files that hold the store's data: the snapshot, and the logs after it. */
export class StoreFiles {
  readonly logs: LogKeeper;
  readonly snapshots: SnapshotKeeper;

  constructor(logs: LogKeeper, snapshots: SnapshotKeeper) {
    this.logs = logs;
    this.snapshots = snapshots;
  }

  /** What the directory must have now. */
  get kept(): readonly KeptFile[] {
    const { current } = this.snapshots;
    if (current === undefined) return this.logs.keptFiles;
    return [{ path: current.path, lengthBytes: current.fileBytes }, ...this.logs.keptFiles];
  }
}
