import type { DistributionMetric } from './definitions.ts';

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
