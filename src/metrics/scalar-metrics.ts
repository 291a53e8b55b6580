import type { ScalarMetric } from './definitions.ts';
import { STATE_METRICS } from './state-metrics.ts';
import { WORK_METRICS } from './work-metrics.ts';

export const SCALARS: readonly ScalarMetric[] = [...STATE_METRICS, ...WORK_METRICS];
