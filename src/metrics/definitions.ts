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
