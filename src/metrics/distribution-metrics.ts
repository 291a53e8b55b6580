import type { DistributionMetric } from './definitions.ts';

/** Powers of two from 2^first to 2^last, divided by `perUnit`. */
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
    telemetryName: 'group.encode.duration',
    help: 'Time to compress and frame one group of batches.',
    unit: 's',
    divisor: 1000,
    bounds: LATENCY_BOUNDS_MS,
    read: ({ commits }) => commits.latency.encodeMs,
  },
  {
    name: 'write_seconds',
    telemetryName: 'log.write.duration',
    help: 'Time of one write of deferred batches to the log, without a sync.',
    unit: 's',
    divisor: 1000,
    bounds: LATENCY_BOUNDS_MS,
    read: ({ commits }) => commits.latency.writeMs,
  },
  {
    name: 'sync_seconds',
    telemetryName: 'log.sync.duration',
    help: 'Time of one sync of the log. For durable batches it includes the write, which is the same system call.',
    unit: 's',
    divisor: 1000,
    bounds: LATENCY_BOUNDS_MS,
    read: ({ commits }) => commits.latency.syncMs,
  },
  {
    name: 'batch_seconds',
    telemetryName: 'batch.duration',
    help: 'Time that callers of insertBatch wait: from the call until the batch is acknowledged.',
    unit: 's',
    divisor: 1000,
    bounds: LATENCY_BOUNDS_MS,
    read: ({ commits }) => commits.latency.batchMs,
  },
  {
    name: 'group_batches',
    telemetryName: 'group.batches',
    help: 'Number of batches in one group, which share a write and a sync.',
    unit: '{batch}',
    divisor: 1,
    bounds: powers(0, 16, 1),
    read: ({ commits }) => commits.batchesPerGroup,
  },
  {
    name: 'group_bytes',
    telemetryName: 'group.size',
    help: 'Bytes of one write to the log.',
    unit: 'By',
    divisor: 1,
    bounds: powers(7, 27, 1),
    read: ({ commits }) => commits.bytesPerGroup,
  },
  {
    name: 'merge_seconds',
    telemetryName: 'merge.duration',
    help: 'Time of one merge, from reading the logs until the new snapshot has its name.',
    unit: 's',
    divisor: 1000,
    bounds: MERGE_BOUNDS_MS,
    read: ({ merges }) => merges.durationMs,
  },
];
