import { countUpTo } from '../base/histogram.ts';
import { prometheusKind, type DistributionMetric, type ScalarMetric } from './definitions.ts';
import type { StoreFigures } from './store-figures.ts';

export type Labels = Readonly<Record<string, string | number>>;

/** A sample in the form that prom-client expects. */
interface Sample {
  readonly metricName?: string;
  readonly labels: Labels;
  readonly value: number;
}

/** What prom-client reads from a metric at each scrape. */
interface Scraped {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly aggregator: string;
  readonly values: readonly Sample[];
}

interface Source {
  readonly figures: StoreFigures;
  readonly labels: Labels;
}

/**
 * One metric for all stores of one registry. The classes of prom-client keep counts of their own;
 * this class reads the counts that the stores keep.
 */
export class PrometheusMetric {
  /** Not readonly: an OpenMetrics registry renames counters. */
  name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly aggregator = 'sum';
  readonly #definition: ScalarMetric | DistributionMetric;
  readonly #sources: Map<StoreFigures, Source> = new Map();

  constructor(prefix: string, definition: ScalarMetric | DistributionMetric) {
    this.name = prefix + definition.name;
    this.help = definition.help;
    this.type = prometheusKind(definition);
    this.#definition = definition;
  }

  get isEmpty(): boolean {
    return this.#sources.size === 0;
  }

  /**
   * Whether a store with these labels is registered: two such stores would give duplicate samples.
   */
  has(labels: Labels): boolean {
    const key = keyOf(labels);
    return [...this.#sources.values()].some((source) => keyOf(source.labels) === key);
  }

  add(figures: StoreFigures, labels: Labels): void {
    this.#sources.set(figures, { figures, labels });
  }

  remove(figures: StoreFigures): void {
    this.#sources.delete(figures);
  }

  /**
   * Called by the registry. Reads the figures synchronously, so all metrics of a scrape show one
   * state.
   */
  async get(): Promise<Scraped> {
    const { name, help, type, aggregator } = this;
    const values = [...this.#sources.values()].flatMap((source) => this.#samplesOf(source));
    return { name, help, type, aggregator, values };
  }

  /** Called by `resetMetrics` of the registry. The counts belong to the store and are not reset. */
  reset(): void {
    // No counts are kept here.
  }

  #samplesOf({ figures, labels }: Source): Sample[] {
    const definition = this.#definition;
    if ('bounds' in definition) return this.#histogramOf(definition, figures, labels);
    const reading = definition.read(figures.stats);
    if (reading === undefined) return [];
    if (typeof reading === 'number') return [{ labels, value: reading }];
    return reading.map((sample) => ({ ...sample, labels: { ...labels, ...sample.labels } }));
  }

  #histogramOf(definition: DistributionMetric, figures: StoreFigures, labels: Labels): Sample[] {
    const { bounds, divisor } = definition;
    const distribution = definition.read(figures.stats);
    const bucketName = `${this.name}_bucket`;
    const samples: Sample[] = bounds.map((bound) => ({
      metricName: bucketName,
      labels: { le: bound / divisor, ...labels },
      value: countUpTo(distribution, bound),
    }));
    const { count, sum } = distribution;
    samples.push(
      { metricName: bucketName, labels: { le: '+Inf', ...labels }, value: count },
      { metricName: `${this.name}_sum`, labels, value: sum / divisor },
      { metricName: `${this.name}_count`, labels, value: count },
    );
    return samples;
  }
}

function keyOf(labels: Labels): string {
  const entries = Object.entries(labels).map(([name, value]) => [name, String(value)] as const);
  return JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
