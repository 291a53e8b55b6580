import type { ReplicatedStats } from '../replicated/node/replicated-stats.ts';
import type { StoreStats } from '../store/stats.ts';
import type { ScalarMetric } from './definitions.ts';

const ROLES = ['replica', 'candidate', 'primary'] as const;

/** A metric of a replicated store, whose figures are those of a store and more. */
function ofReplica(
  metric: Omit<ScalarMetric, 'read'>,
  read: (replica: ReplicatedStats['replica']) => ReturnType<ScalarMetric['read']>,
): ScalarMetric {
  return {
    ...metric,
    read: (stats) => (isReplicated(stats) ? read(stats.replica) : undefined),
  };
}

export function isReplicated(stats: StoreStats): stats is ReplicatedStats {
  return 'replica' in stats;
}

function numberOf(position: bigint | undefined): number | undefined {
  return position === undefined ? undefined : Number(position);
}

/** Metrics that only a node of a replicated store has. */
export const REPLICA_METRICS: readonly ScalarMetric[] = [
  ofReplica(
    {
      name: 'replica_role',
      telemetryName: 'replica.role',
      instrument: 'updowncounter',
      unit: '{node}',
      help: '1 for the current role of the node, 0 for the others: replica, candidate (it takes over) or primary (it takes writes).',
      labels: { role: 'replica.role' },
    },
    ({ role }) => ROLES.map((one) => ({ labels: { role: one }, value: one === role ? 1 : 0 })),
  ),
  ofReplica(
    {
      name: 'replica_failed',
      telemetryName: 'replica.failed',
      instrument: 'gauge',
      unit: '1',
      help: '1 when the node has stopped following the shared log and refuses writes, 0 while it follows.',
    },
    ({ failure }) => (failure === undefined ? 0 : 1),
  ),
  ofReplica(
    {
      name: 'replica_position',
      telemetryName: 'replica.position',
      instrument: 'gauge',
      unit: '{entry}',
      help: 'Position in the shared log of the last entry whose effect the node shows.',
    },
    ({ position }) => Number(position),
  ),
  ofReplica(
    {
      name: 'replica_log_end',
      telemetryName: 'replica.log_end',
      instrument: 'gauge',
      unit: '{entry}',
      help: 'Highest position that the node knows the shared log to have.',
    },
    ({ logEnd }) => Number(logEnd),
  ),
  ofReplica(
    {
      name: 'replica_lag_entries',
      telemetryName: 'replica.lag',
      instrument: 'gauge',
      unit: '{entry}',
      help: 'Number of entries that the shared log is known to have and the node does not show.',
    },
    ({ lag }) => Number(lag.entries),
  ),
  ofReplica(
    {
      name: 'replica_takeovers_total',
      telemetryName: 'replica.takeover',
      instrument: 'counter',
      unit: '{takeover}',
      help: 'Number of takeovers in the shared log up to the position of the node, by any node. Each failover adds one.',
    },
    ({ epoch }) => Number(epoch),
  ),
  ofReplica(
    {
      name: 'replica_engine_failures_total',
      telemetryName: 'replica.engine.failure',
      instrument: 'counter',
      unit: '{failure}',
      help: 'Number of calls that the engine of the shared log did not answer, or refused for the time being.',
    },
    ({ engineFailures }) => engineFailures,
  ),
  ofReplica(
    {
      name: 'replica_checkpoint_position',
      telemetryName: 'replica.checkpoint.position',
      instrument: 'gauge',
      unit: '{entry}',
      help: 'Position in the shared log of the newest checkpoint that the node knows. Absent before the first.',
    },
    ({ checkpoints }) => numberOf(checkpoints.newestPosition),
  ),
  ofReplica(
    {
      name: 'replica_checkpoint_timestamp_seconds',
      telemetryName: 'replica.checkpoint.timestamp',
      instrument: 'gauge',
      unit: 's',
      help: 'Unix time at which the node wrote the newest checkpoint, or first saw it; before the first, at which it was opened. Absent without a checkpoint store.',
    },
    ({ checkpoints: { unchangedSinceMs } }) => unchangedSinceMs && unchangedSinceMs / 1_000,
  ),
  ofReplica(
    {
      name: 'replica_checkpoints_total',
      telemetryName: 'replica.checkpoint.written',
      instrument: 'counter',
      unit: '{checkpoint}',
      help: 'Number of checkpoints that the node has written.',
    },
    ({ checkpoints }) => checkpoints.written,
  ),
  ofReplica(
    {
      name: 'replica_checkpoints_failed_total',
      telemetryName: 'replica.checkpoint.failed',
      instrument: 'counter',
      unit: '{failure}',
      help: 'Number of times that the node failed to write, list or restore a checkpoint, or to trim the log.',
    },
    ({ checkpoints }) => checkpoints.failed,
  ),
  ofReplica(
    {
      name: 'replica_trims_total',
      telemetryName: 'replica.trim',
      instrument: 'counter',
      unit: '{trim}',
      help: 'Number of times that the node, as the primary, has trimmed the shared log.',
    },
    ({ checkpoints }) => checkpoints.trims,
  ),
  ofReplica(
    {
      name: 'replica_trimmed_position',
      telemetryName: 'replica.trimmed',
      instrument: 'gauge',
      unit: '{entry}',
      help: 'Position up to which the node has trimmed the shared log. Absent before it has.',
    },
    ({ checkpoints }) => numberOf(checkpoints.trimmedTo),
  ),
];
