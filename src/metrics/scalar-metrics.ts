import type { StoreStats } from '../store/stats.ts';
import type { ScalarMetric } from './definitions.ts';
import { isReplicated, REPLICA_METRICS } from './replica-metrics.ts';
import { STATE_METRICS } from './state-metrics.ts';
import { WORK_METRICS } from './work-metrics.ts';

/** Metrics that every store has. */
export const SCALARS: readonly ScalarMetric[] = [...STATE_METRICS, ...WORK_METRICS];

export const ALL_SCALARS: readonly ScalarMetric[] = [...SCALARS, ...REPLICA_METRICS];

/** The metrics of a store with these figures. */
export function scalarsOf(stats: StoreStats): readonly ScalarMetric[] {
  return isReplicated(stats) ? ALL_SCALARS : SCALARS;
}
