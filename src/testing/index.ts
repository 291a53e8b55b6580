/**
 * A simulated file system with legal crash states, to test how a program handles a crash, a failing
 * call or a full disk. See docs/TESTING.md.
 *
 * @module
 */
export { countCalls, formatTrace } from './call-trace.ts';
export type { CallRecord } from './call-trace.ts';
export { CrashFs } from './crash-fs.ts';
export type { CrashFsOptions, CrashOptions, CrashPoint, RunOptions } from './crash-fs.ts';
export { CrashState } from './crash-state.ts';
export type { CrashModel } from './disk/effect.ts';
export { CrashStates } from './enumeration.ts';
export type { CrashStateCounts, CrashStatesOptions } from './enumeration.ts';
export { CALL_KINDS, FaultPlan } from './fault-plan.ts';
export type { CallKind, Fault, FaultRule } from './fault-plan.ts';
export type { Tear } from './file-variant-list.ts';
export type { DirectoryAccess } from './held-directories.ts';
export { LeaseTable } from './lease-table.ts';
export type { TableLease } from './lease-table.ts';
export { openOn } from './open-on.ts';
export { SeededScheduler } from './scheduler.ts';
export type { CallScheduler } from './scheduler.ts';
export { checkpointStoreConformance } from './conformance/checkpoint-store-conformance.ts';
export type { CheckpointStoreSubject } from './conformance/checkpoint-store-conformance.ts';
export type { ConformanceCase } from './conformance/conformance-case.ts';
export { electorConformance } from './conformance/elector-conformance.ts';
export type { ElectorSubject } from './conformance/elector-conformance.ts';
export type { SharedLogSubject } from './conformance/opened-log.ts';
export { shardMapConformance } from './conformance/shard-map-conformance.ts';
export type { ShardMapSubject } from './conformance/shard-map-conformance.ts';
export { sharedLogConformance } from './conformance/shared-log-conformance.ts';
export type { SystemError, SystemErrorCode } from './disk/system-error.ts';
export { MemoryCheckpoints } from './engine/memory-checkpoints.ts';
export { SimulatedConnection, SimulatedLog } from './engine/simulated-log.ts';
export type { SimulatedLogFaults, SimulatedLogOptions } from './engine/simulated-log.ts';
export { openReplicaOn, openShardsOn, repairReplicaOn } from './replica-on.ts';
export type { ReplicaOnOptions } from './replica-on.ts';
export { SimulatedShardMap } from './engine/simulated-shard-map.ts';
