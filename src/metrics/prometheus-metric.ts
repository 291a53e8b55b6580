import { countUpTo } from '../base/histogram.ts';
import type { DistributionMetric, ScalarMetric } from './definitions.ts';
import type { StoreFigures } from './store-figures.ts';

export type Labels = Readonly<Record<string, string | number>>;

/** A line of a metric, as prom-client takes it. */
interface Sample {
  readonly metricName?: string;
  readonly labels: Labels;
  readonly value: number;
}

/** What prom-client asks a metric for at each scrape. */
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
 * A metric of all stores of one registry. prom-client's own histograms count for themselves; this one
 * passes on what the store has counted anyway.
 */
export class PrometheusMetric {
  /** Not readonly: a registry of OpenMetrics changes the names of counters. */
  name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly aggregator = 'sum';
  readonly #definition: ScalarMetric | DistributionMetric;
  readonly #sources: Map<StoreFigures, Source> = new Map();

  constructor(prefix: string, definition: ScalarMetric | DistributionMetric) {
    this.name = prefix + definition.name;
    this.help = definition.help;
    this.type = 'bounds' in definition ? 'histogram' : definition.kind;
    this.#definition = definition;
  }

  get isEmpty(): boolean {
    return this.#sources.size === 0;
  }

  /** Whether a store has these labels already: its values could not be told from those of another. */
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

  /** Called by the registry. The figures are read before it resolves: all metrics of a scrape show one moment. */
  async get(): Promise<Scraped> {
    const { name, help, type, aggregator } = this;
    const values = [...this.#sources.values()].flatMap((source) => this.#samplesOf(source));
    return { name, help, type, aggregator, values };
  }

  /** Called by the registry's `resetMetrics`: the store goes on counting. */
  reset(): void {
    // Nothing is kept here.
  }

  #samplesOf({ figures, labels }: Source): Sample[] {
    const definition = this.#definition;
    if ('bounds' in definition) return this.#histogramOf(definition, figures, labels);
    const reading = definition.read(figures.stats);
    if (reading === undefined) return [];
    if (typeof reading === 'number') return [{ labels, value: reading }];
    return reading.map(({ label, value }) => ({
      labels: { ...labels, [definition.label!]: label },
      value,
    }));
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
