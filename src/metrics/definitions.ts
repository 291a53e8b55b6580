import type { Distribution } from '../base/histogram.ts';
import type { StoreStats } from '../store/stats.ts';

/** A sample of a metric that has labels of its own. */
export interface LabelledValue {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One value, or one for each combination of the metric's own labels. */
export type Reading = number | readonly LabelledValue[];

/**
 * A metric of one figure. `lodestore/prometheus` and `lodestore/opentelemetry` both export these
 * definitions, so they cannot differ.
 */
export interface ScalarMetric {
  /** Name for Prometheus, without the prefix. */
  readonly name: string;
  /** Name for OpenTelemetry, without `lodestore.`. */
  readonly telemetryName: string;
  /**
   * Kind of the OpenTelemetry instrument: an `updowncounter` may be summed over stores, a `gauge`
   * may not. Prometheus has no such difference: both are gauges there.
   */
  readonly instrument: 'counter' | 'updowncounter' | 'gauge';
  readonly help: string;
  /** In UCUM, as OpenTelemetry's semantic conventions require: `s`, `By`, `{batch}`. */
  readonly unit: string;
  /** The metric's own labels in Prometheus, each with its attribute name without `lodestore.`. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Undefined where the store has no such figure. */
  readonly read: (stats: StoreStats) => Reading | undefined;
}

/** A metric of a distribution. */
export interface DistributionMetric {
  readonly name: string;
  readonly telemetryName: string;
  readonly help: string;
  readonly unit: string;
  /** Units of the distribution in one unit of the metric: 1,000 for milliseconds in seconds. */
  readonly divisor: number;
  /**
   * Upper bounds, in the distribution's unit; each is also a bound of the distribution's buckets.
   */
  readonly bounds: readonly number[];
  readonly read: (stats: StoreStats) => Distribution;
}

/** The kind of a metric in Prometheus. */
export function prometheusKind(
  metric: ScalarMetric | DistributionMetric,
): 'counter' | 'gauge' | 'histogram' {
  if ('bounds' in metric) return 'histogram';
  return metric.instrument === 'counter' ? 'counter' : 'gauge';
}

/** A sample for each state: 1 for the current one, 0 for the others. */
export function statesOf(states: readonly string[], current: string): readonly LabelledValue[] {
  return states.map((state) => ({ labels: { state }, value: state === current ? 1 : 0 }));
}
