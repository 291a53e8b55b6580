import type { Distribution } from '../base/histogram.ts';
import type { StoreStats } from '../store/stats.ts';

/** One value, or one for each value of a label. */
export type Reading = number | readonly { readonly label: string; readonly value: number }[];

/** A metric of one figure. Both entries are made of these, so that they cannot differ. */
export interface ScalarMetric {
  /** For Prometheus, behind the prefix. */
  readonly name: string;
  /** For OpenTelemetry, behind `lodestore.`. */
  readonly telemetryName: string;
  readonly kind: 'counter' | 'gauge';
  readonly help: string;
  readonly unit: string;
  /** Name of the label, where there are several values. */
  readonly label?: string;
  /** Undefined where there is nothing to tell. */
  readonly read: (stats: StoreStats) => Reading | undefined;
}

/** A metric of a distribution. */
export interface DistributionMetric {
  readonly name: string;
  readonly telemetryName: string;
  readonly help: string;
  readonly unit: string;
  /** How many of the distribution's units make one of the metric's: 1,000 for seconds. */
  readonly divisor: number;
  /** Upper bounds, in the distribution's unit; every one is a bound of the distribution. */
  readonly bounds: readonly number[];
  readonly read: (stats: StoreStats) => Distribution;
}

const MERGE_STATES = ['idle', 'running', 'retrying', 'stopped'] as const;

type Row = readonly [
  name: string,
  telemetryName: string,
  kind: 'counter' | 'gauge',
  unit: string,
  help: string,
  read: ScalarMetric['read'],
  label?: string,
];

const STATE_ROWS: readonly Row[] = [
  [
    'writable',
    'writable',
    'gauge',
    '1',
    '1 while writes are taken, 0 when the store is poisoned, closed or read-only.',
    ({ state, readOnly }) => (state === 'open' && !readOnly ? 1 : 0),
  ],
  ['records', 'records', 'gauge', '{record}', 'Records.', ({ records }) => records],
  [
    'last_sequence',
    'last_sequence',
    'gauge',
    '{batch}',
    'Sequence number of the last batch written.',
    ({ lastSequence }) => Number(lastSequence),
  ],
  [
    'unsynced_bytes',
    'log.unsynced',
    'gauge',
    'By',
    'Bytes of the log that the next sync makes durable.',
    ({ logs }) => logs.unsyncedBytes,
  ],
  ['logs', 'logs', 'gauge', '{file}', 'Logs that no merge has taken in.', ({ logs }) => logs.count],
  ['log_bytes', 'log.size', 'gauge', 'By', 'Bytes of those logs.', ({ logs }) => logs.bytes],
  [
    'snapshot_bytes',
    'snapshot.size',
    'gauge',
    'By',
    'Bytes of the snapshot.',
    ({ merges }) => merges.snapshotBytes,
  ],
  [
    'used_bytes',
    'disk.used',
    'gauge',
    'By',
    'Bytes of all files of the store.',
    ({ space }) => space.usedBytes,
  ],
  [
    'max_bytes',
    'disk.limit',
    'gauge',
    'By',
    'The option maxBytes, where it is set.',
    ({ space }) => space.maxBytes,
  ],
  [
    'memory_bytes',
    'memory',
    'gauge',
    'By',
    'Bytes of the table in memory.',
    ({ memory }) => [
      { label: 'base', value: memory.baseBytes },
      { label: 'live', value: memory.liveBytes },
      { label: 'frozen', value: memory.frozenBytes },
    ],
    'part',
  ],
  [
    'queue_bytes',
    'queue.size',
    'gauge',
    'By',
    'Bytes of rows in the queue and in flight.',
    ({ queue }) => queue.bytes,
  ],
  [
    'queue_batches',
    'queue.batches',
    'gauge',
    '{batch}',
    'Batches in the queue and in flight.',
    ({ queue }) => queue.batches,
  ],
  [
    'queue_waiting_batches',
    'queue.waiting',
    'gauge',
    '{batch}',
    'Batches for which the queue has no room yet.',
    ({ queue }) => queue.waitingBatches,
  ],
  [
    'last_error_timestamp_seconds',
    'last_error.time',
    'gauge',
    's',
    'When a commit, a merge or a backup failed last, in seconds since 1970; absent if none did.',
    ({ lastError }) => lastError && lastError.atMs / 1000,
  ],
  [
    'recovery_seconds',
    'recovery.duration',
    'gauge',
    's',
    'Time that opening took.',
    ({ recovery }) => recovery.milliseconds / 1000,
  ],
  [
    'recovery_losses',
    'recovery.losses',
    'gauge',
    '{loss}',
    'Losses that salvage reported when the store was opened.',
    ({ recovery }) => recovery.losses.length,
  ],
];

const COMMIT_ROWS: readonly Row[] = [
  [
    'batches_total',
    'batches',
    'counter',
    '{batch}',
    'Batches written.',
    ({ commits }) => commits.batches,
  ],
  [
    'updates_total',
    'updates',
    'counter',
    '{update}',
    'Puts and deletes written.',
    ({ commits }) => commits.updates,
  ],
  [
    'groups_total',
    'groups',
    'counter',
    '{group}',
    'Writes of the log: each is one group of batches, or a seal.',
    ({ commits }) => commits.groups,
  ],
  [
    'syncs_total',
    'syncs',
    'counter',
    '{sync}',
    'Syncs of the log.',
    ({ commits }) => commits.syncs,
  ],
  [
    'written_bytes_total',
    'log.written',
    'counter',
    'By',
    'Bytes written to logs.',
    ({ commits }) => commits.writtenBytes,
  ],
  [
    'failed_groups_total',
    'groups.failed',
    'counter',
    '{group}',
    'Groups that were rejected.',
    ({ commits }) => commits.failedGroups,
  ],
  [
    'refused_batches_total',
    'batches.refused',
    'counter',
    '{batch}',
    'Batches left out of their group: a condition did not hold, or there was no room.',
    ({ commits }) => commits.refusedBatches,
  ],
  [
    'rotations_total',
    'rotations',
    'counter',
    '{log}',
    'Logs sealed and followed by the next.',
    ({ logs }) => logs.rotations,
  ],
];

const MERGE_ROWS: readonly Row[] = [
  [
    'merge_state',
    'merge.state',
    'gauge',
    '1',
    '1 for the state that merging is in, 0 for the others.',
    ({ merges }) => MERGE_STATES.map((label) => ({ label, value: merges.state === label ? 1 : 0 })),
    'state',
  ],
  [
    'merge_progress_bytes',
    'merge.progress',
    'gauge',
    'By',
    'Bytes that the merge which runs has read.',
    ({ merges }) => merges.progressBytes,
  ],
  [
    'merge_input_bytes',
    'merge.input',
    'gauge',
    'By',
    'Bytes that it will have read.',
    ({ merges }) => merges.totalBytes,
  ],
  [
    'merges_total',
    'merges',
    'counter',
    '{merge}',
    'Merges completed.',
    ({ merges }) => merges.completed,
  ],
  [
    'merges_failed_total',
    'merges.failed',
    'counter',
    '{merge}',
    'Merges that failed.',
    ({ merges }) => merges.failed,
  ],
  [
    'merge_copied_bytes_total',
    'merge.copied',
    'counter',
    'By',
    'Bytes of chunks that merges copied as they were.',
    ({ merges }) => merges.copiedBytes,
  ],
  [
    'merge_encoded_bytes_total',
    'merge.encoded',
    'counter',
    'By',
    'Bytes of chunks that merges encoded.',
    ({ merges }) => merges.encodedBytes,
  ],
  [
    'merge_copied_chunks_total',
    'merge.chunks.copied',
    'counter',
    '{chunk}',
    'Chunks that merges copied.',
    ({ merges }) => merges.copiedChunks,
  ],
  [
    'merge_encoded_chunks_total',
    'merge.chunks.encoded',
    'counter',
    '{chunk}',
    'Chunks that merges encoded.',
    ({ merges }) => merges.encodedChunks,
  ],
];

export const SCALARS: readonly ScalarMetric[] = [...STATE_ROWS, ...COMMIT_ROWS, ...MERGE_ROWS].map(
  ([name, telemetryName, kind, unit, help, read, label]) => ({
    name,
    telemetryName,
    kind,
    unit,
    help,
    read,
    ...(label !== undefined && { label }),
  }),
);

/** Powers of two from 2^first to 2^last, as parts of a unit. */
function powers(first: number, last: number, perUnit: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => 2 ** (first + i) / perUnit);
}

/** From 16 microseconds to 34 seconds, in milliseconds. */
const LATENCY_BOUNDS_MS = powers(4, 25, 1000);
/** From a millisecond to 2.4 hours. */
const MERGE_BOUNDS_MS = powers(10, 33, 1000);

export const DISTRIBUTIONS: readonly DistributionMetric[] = [
  {
    name: 'encode_seconds',
    telemetryName: 'encode.duration',
    help: 'Compressing and framing one group.',
    unit: 's',
    divisor: 1000,
    bounds: LATENCY_BOUNDS_MS,
    read: ({ commits }) => commits.latency.encodeMs,
  },
  {
    name: 'write_seconds',
    telemetryName: 'write.duration',
    help: 'One deferred write of the log, which no sync is part of.',
    unit: 's',
    divisor: 1000,
    bounds: LATENCY_BOUNDS_MS,
    read: ({ commits }) => commits.latency.writeMs,
  },
  {
    name: 'sync_seconds',
    telemetryName: 'sync.duration',
    help: 'One sync of the log; for a durable write with the write itself.',
    unit: 's',
    divisor: 1000,
    bounds: LATENCY_BOUNDS_MS,
    read: ({ commits }) => commits.latency.syncMs,
  },
  {
    name: 'batch_seconds',
    telemetryName: 'batch.duration',
    help: 'From insertBatch until the batch is acknowledged.',
    unit: 's',
    divisor: 1000,
    bounds: LATENCY_BOUNDS_MS,
    read: ({ commits }) => commits.latency.batchMs,
  },
  {
    name: 'group_batches',
    telemetryName: 'group.batches',
    help: 'Batches in one group.',
    unit: '{batch}',
    divisor: 1,
    bounds: powers(0, 16, 1),
    read: ({ commits }) => commits.batchesPerGroup,
  },
  {
    name: 'group_bytes',
    telemetryName: 'group.size',
    help: 'Bytes of one write of the log.',
    unit: 'By',
    divisor: 1,
    bounds: powers(7, 27, 1),
    read: ({ commits }) => commits.bytesPerGroup,
  },
  {
    name: 'merge_seconds',
    telemetryName: 'merge.duration',
    help: 'One merge, from reading the logs until the new snapshot is in place.',
    unit: 's',
    divisor: 1000,
    bounds: MERGE_BOUNDS_MS,
    read: ({ merges }) => merges.durationMs,
  },
];
