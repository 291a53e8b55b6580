export {
  AbortedError,
  BatchTooLargeError,
  ConditionFailedError,
  CorruptionError,
  FencedError,
  PositionExpiredError,
  StoreClosedError,
  StoreError,
  StoreFullError,
  StoreLockedError,
  StorePoisonedError,
} from './base/errors.ts';
export type {
  ConditionFailure,
  CorruptionDetail,
  LockOwner,
  PositionDetail,
  SpaceLimitFields,
  StoreErrorCode,
  StoreErrorFields,
  WriteOutcome,
} from './base/errors.ts';
export { quantileOf } from './base/histogram.ts';
export type { Distribution } from './base/histogram.ts';
export type { Condition } from './store/condition.ts';
export type { BackupFile } from './store/backup-manifest.ts';
export type { BackupOptions, BackupReport, CopyProgress } from './store/backup.ts';
export type { BatchDurability, StoreDurability } from './store/durability.ts';
export type { Change, ChangeUpdate } from './store/change.ts';
export type { ChangesOptions, ChangeStats } from './store/change-feeds.ts';
export { MetadataStore } from './store/metadata-store.ts';
export type { InsertOptions } from './store/metadata-store.ts';
export type { ContentHash, ContentHashOptions } from './store/content-hash.ts';
export type { OpenOptions } from './store/options.ts';
export type { Loss, OpenProgress, RecoveryReport, TornTail } from './store/recovery-report.ts';
export type { ReserveState } from './store/reserve-file.ts';
export { restoreBackup } from './store/restore.ts';
export type { RestoreOptions, RestoreReport } from './store/restore.ts';
export type { SpaceFigures, SpaceState } from './store/space-keeper.ts';
export type {
  BackupTrace,
  CommitTrace,
  MergeTrace,
  OpenTrace,
  RotateTrace,
} from './store/channels.ts';
export type { CommitFigures } from './store/commit-stats.ts';
export type { MergeStats } from './store/merge-scheduler.ts';
export type { StoreEvents } from './store/store-events.ts';
export type { LastError } from './store/store-observer.ts';
export type { StoreStats } from './store/stats.ts';
export type { Update } from './store/updates.ts';
export type { ValueRangeOptions } from './store/value-entries.ts';
export { WriteBatch } from './store/write-batch.ts';
export type { RangeOptions } from './table/key-range.ts';
export type { TableRecord as StoreRecord } from './table/table-record.ts';
export type { TableMemory } from './table/table.ts';
