/**
 * A store whose batches survive the loss of a machine: commits go to a shared log, which replicas
 * read. See docs/DURABILITY.md.
 *
 * @module
 */
export type { WrittenCheckpoint } from './checkpoint/checkpoints.ts';
export { CheckpointStoreError } from './checkpoint/checkpoint-store.ts';
export type {
  CheckpointCallOptions,
  CheckpointFailure,
  CheckpointObject,
  CheckpointSource,
  CheckpointStore,
} from './checkpoint/checkpoint-store.ts';
export { DirectoryCheckpoints } from './checkpoint/directory-checkpoints.ts';
export type { DirectoryCheckpointsOptions } from './checkpoint/directory-checkpoints.ts';
export type { CampaignOptions, Elector, Leadership } from './log/elector.ts';
export {
  LogLostError,
  LogUnavailableError,
  NotPrimaryError,
  UnfitEngineError,
} from './log/log-errors.ts';
export type { LogLossDetail } from './log/log-errors.ts';
export type { LogBounds, LogEntry, SharedLog, SharedLogOptions } from './log/shared-log.ts';
export type {
  ShardMapCallOptions,
  ShardMapStore,
  StoredShardMap,
} from './shards/shard-map-store.ts';
export { ReplicatedStore } from './node/replicated-store.ts';
export type {
  ReplicaCheckpointFigures,
  ReplicaLag,
  ReplicatedStats,
} from './node/replicated-stats.ts';
export type { RepairReport } from './node/repair-log.ts';
export type { ReplicaRole } from './node/replica-host.ts';
export type { ReplicaStoreOptions, ReplicatedOptions } from './node/replicated-options.ts';
export { AcrossShardsError } from './shards/batch-shard.ts';
export { ShardedStore } from './shards/sharded-store.ts';
export type { ShardedOptions, ShardEngine } from './shards/sharded-options.ts';
export type { ShardEntry, ShardMap, ShardRouting } from './shards/shard-map.ts';
