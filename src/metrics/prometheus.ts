/**
 * `lodestore/prometheus`: exports a store's figures to a registry of `prom-client`, an optional
 * peer dependency.
 */
import { register as defaultRegister, type Registry, type RegistryContentType } from 'prom-client';
import { StoreClosedError } from '../base/errors.ts';
import type { ReplicatedStore } from '../replicated/node/replicated-store.ts';
import type { MetadataStore } from '../store/metadata-store.ts';
import { DISTRIBUTIONS } from './distribution-metrics.ts';
import { PrometheusMetric, type Labels } from './prometheus-metric.ts';
import { ALL_SCALARS, scalarsOf } from './scalar-metrics.ts';
import { StoreFigures } from './store-figures.ts';

/** The part of prom-client's registry that is used. */
export type MetricRegistry = Pick<
  Registry<RegistryContentType>,
  'getSingleMetric' | 'registerMetric' | 'removeSingleMetric'
>;

export interface CollectOptions {
  /** Default: the default registry of prom-client. */
  readonly register?: MetricRegistry;
  /** Prefix of each metric's name. Default `lodestore_`. */
  readonly prefix?: string;
  /**
   * Labels that identify this store in the registry. Default: `directory`, the store's absolute
   * path.
   */
  readonly labels?: Labels;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;
/** Labels that the metrics themselves have. */
const OWN_LABELS: ReadonlySet<string> = new Set([
  'le',
  ...ALL_SCALARS.flatMap(({ labels = {} }) => Object.keys(labels)),
]);

/**
 * Adds the figures of `store` to a registry; of a replicated store also those of the replica.
 * Figures are read at each scrape and cost nothing between scrapes. Returns a function that removes
 * them; closing the store also removes them.
 * @throws TypeError for a prefix or labels that Prometheus does not accept; RangeError when another
 *   store of the registry has the same labels; Error of prom-client when another metric has the
 *   same name; StoreClosedError
 */
export function collectStore(
  store: MetadataStore | ReplicatedStore,
  options: CollectOptions = {},
): () => void {
  const { register = defaultRegister, prefix = 'lodestore_' } = options;
  const stats = store.stats();
  const { state, directory } = stats;
  if (state === 'closed') throw new StoreClosedError();
  const labels = options.labels ?? { directory };
  checkNames(prefix, labels);
  const figures = new StoreFigures(store);
  const definitions = [...scalarsOf(stats), ...DISTRIBUTIONS];
  const metrics = definitions.map((definition) => {
    const existing = register.getSingleMetric(prefix + definition.name) as unknown;
    if (existing instanceof PrometheusMetric && existing.has(labels)) {
      throw new RangeError('options.labels: a store with these labels is collected already');
    }
    const isOurs = existing instanceof PrometheusMetric;
    return { metric: isOurs ? existing : new PrometheusMetric(prefix, definition), isOurs };
  });
  const registered: { readonly name: string; readonly metric: PrometheusMetric }[] = [];
  const remove = (): void => {
    for (const { name, metric } of registered.splice(0)) {
      metric.remove(figures);
      const isThere = (register.getSingleMetric(name) as unknown) === metric;
      if (metric.isEmpty && isThere) register.removeSingleMetric(name);
    }
    store.off('closed', remove);
  };
  try {
    for (const [i, { metric, isOurs }] of metrics.entries()) {
      const name = prefix + definitions[i]!.name;
      if (!isOurs) register.registerMetric(metric as never);
      metric.add(figures, labels);
      registered.push({ name, metric });
    }
  } catch (error) {
    remove();
    throw error;
  }
  store.once('closed', remove);
  return remove;
}

function checkNames(prefix: string, labels: Labels): void {
  if (typeof prefix !== 'string' || (prefix !== '' && !NAME.test(prefix))) {
    throw new TypeError('options.prefix must be the beginning of a metric name');
  }
  for (const [name, value] of Object.entries(labels)) {
    const isName = LABEL.test(name) && !OWN_LABELS.has(name);
    if (!isName) throw new TypeError(`options.labels: '${name}' cannot be the name of a label`);
    if (typeof value !== 'string' && typeof value !== 'number') {
      throw new TypeError(`options.labels.${name} must be a string or a number`);
    }
  }
}
