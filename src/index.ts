export {
  AbortedError,
  BatchTooLargeError,
  ConditionFailedError,
  CorruptionError,
  DirectoryLostError,
  FencedError,
  FilesLostError,
  NativePackageError,
  PositionExpiredError,
  SnapshotReleasedError,
  StoreBusyError,
  StoreClosedError,
  StoreError,
  StoreFullError,
  StoreLockedError,
  StorePoisonedError,
} from './base/errors.ts';
export type {
  BusyReason,
  ConditionFailure,
  CorruptionDetail,
  LockOwner,
  PositionDetail,
  SpaceLimitFields,
  StoreErrorFields,
  WriteOutcome,
} from './base/errors.ts';
export type { StoreErrorCode } from './base/error-code.ts';
export { quantileOf } from './base/histogram.ts';
export type { Distribution } from './base/histogram.ts';
export type { Condition } from './store/batch/condition.ts';
export type { BackupFile } from './store/backup/backup-manifest.ts';
export type { BackupOptions, BackupReport, CopyProgress } from './store/backup/backup.ts';
export type { BatchDurability, StoreDurability } from './store/batch/durability.ts';
export type { Change, ChangeUpdate } from './store/changes/change.ts';
export type { ChangesOptions, ChangeStats } from './store/changes/feed-set.ts';
export type { GetManyOptions, ManyRecords } from './store/point-reads.ts';
export type { CountOptions } from './store/count.ts';
export type { Keyspace, KeyspaceOptions, ReadableKeyspace } from './store/keyspace.ts';
export type { RecordReads } from './store/record-reads.ts';
export { jsonForm } from './base/json-form.ts';
export { MetadataStore } from './store/metadata-store.ts';
export type { FollowingStore, ReachedOptions } from './store/following-store.ts';
export type { ReadableStore } from './store/readable-store.ts';
export type { Inserted, InsertOptions } from './store/batch/insert-options.ts';
export type { ContentHash, ContentHashOptions } from './store/content-hash.ts';
export type { OpenOptions } from './store/open/options.ts';
export type {
  Loss,
  MovedFile,
  OpenProgress,
  RecoveryReport,
  TornTail,
} from './store/recovery/recovery-report.ts';
export type { ReserveState } from './store/space/reserve-file.ts';
export { restoreBackup } from './store/backup/restore.ts';
export type { RestoreOptions, RestoreReport } from './store/backup/restore.ts';
export type { SpaceFigures, SpaceState } from './store/space/space-keeper.ts';
export type {
  BackupTrace,
  CommitTrace,
  MergeTrace,
  OpenTrace,
  RotateTrace,
} from './store/observe/channels.ts';
export type { CommitFigures } from './store/observe/commit-stats.ts';
export type { MergeStats } from './store/merge/merge-scheduler.ts';
export type { StoreEvents } from './store/observe/store-events.ts';
export type { LastError } from './store/observe/store-observer.ts';
export type { SnapshotFigures, StoreSnapshot } from './store/store-snapshot.ts';
export type { FollowingStats, StoreStats } from './store/stats.ts';
export type { Update } from './store/batch/updates.ts';
export type { ValueRangeOptions } from './store/value-entries.ts';
export type { KeyMapping, KeyspaceBatch } from './store/batch/keyspace-batch.ts';
export { WriteBatch } from './store/batch/write-batch.ts';
export type { StoreIterator } from './table/scan/record-iterator.ts';
export type { BoundOptions, RangeOptions } from './table/layer/key-range.ts';
export type { TableRecord as StoreRecord } from './table/layer/table-record.ts';
export type { TableMemory } from './table/table.ts';
