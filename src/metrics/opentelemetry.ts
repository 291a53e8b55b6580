/**
 * `lodestore/opentelemetry`: exports a store's figures through `@opentelemetry/api`, an optional
 * peer dependency.
 */
import type { Attributes, BatchObservableResult, Meter, Observable } from '@opentelemetry/api';
import { StoreClosedError } from '../base/errors.ts';
import { commitChannel, mergeChannel } from '../store/observe/channels.ts';
import type { ReplicatedStore } from '../replicated/node/replicated-store.ts';
import type { MetadataStore } from '../store/metadata-store.ts';
import type { LabelledValue, ScalarMetric } from './definitions.ts';
import { DISTRIBUTIONS } from './distribution-metrics.ts';
import { isReplicated } from './replica-metrics.ts';
import { scalarsOf } from './scalar-metrics.ts';
import { SpanRecorder } from './span-recorder.ts';

const PREFIX = 'lodestore.';

export interface ObserveOptions {
  /**
   * Attributes that identify this store. Default: `lodestore.directory`, the store's absolute path.
   */
  readonly attributes?: Attributes;
}

/**
 * Exports the figures of `store` through `meter`. Counters and gauges are read when the meter
 * collects. Histograms subscribe to the tracing channels, so they record commits and merges from
 * this call on. Returns a function that ends the export; closing the store also ends it.
 * @throws StoreClosedError
 */
export function observeStore(
  meter: Meter,
  store: MetadataStore | ReplicatedStore,
  options: ObserveOptions = {},
): () => void {
  const figures = store.stats();
  const { state, directory } = figures;
  if (state === 'closed') throw new StoreClosedError();
  const attributes = options.attributes ?? { [`${PREFIX}directory`]: directory };
  const scalars = scalarsOf(figures).map((definition) => ({
    definition,
    observable: makeObservable(meter, definition),
  }));
  const observables: Observable[] = scalars.map(({ observable }) => observable);
  const observe = (result: BatchObservableResult): void => {
    const stats = store.stats();
    for (const { definition, observable } of scalars) {
      const reading = definition.read(stats);
      if (reading === undefined) continue;
      if (typeof reading === 'number') result.observe(observable, reading, attributes);
      else {
        for (const { labels, value } of reading) {
          result.observe(observable, value, { ...attributes, ...attributesOf(definition, labels) });
        }
      }
    }
  };
  const recorder = new SpanRecorder(
    isReplicated(figures) ? { below: directory } : store,
    recordersOf(meter, attributes),
  );
  const end = (): void => {
    meter.removeBatchObservableCallback(observe, observables);
    commitChannel.asyncEnd.unsubscribe(recorder.onCommit);
    mergeChannel.asyncEnd.unsubscribe(recorder.onMerge);
    store.off('closed', end);
  };
  meter.addBatchObservableCallback(observe, observables);
  commitChannel.asyncEnd.subscribe(recorder.onCommit);
  mergeChannel.asyncEnd.subscribe(recorder.onMerge);
  store.once('closed', end);
  return end;
}

function makeObservable(
  meter: Meter,
  { telemetryName, instrument, help, unit }: ScalarMetric,
): Observable {
  const name = PREFIX + telemetryName;
  const options = { description: help, unit };
  switch (instrument) {
    case 'counter':
      return meter.createObservableCounter(name, options);
    case 'updowncounter':
      return meter.createObservableUpDownCounter(name, options);
    case 'gauge':
      return meter.createObservableGauge(name, options);
  }
}

/** The metric's own labels under their attribute names. */
function attributesOf(
  { labels: names = {} }: ScalarMetric,
  labels: LabelledValue['labels'],
): Attributes {
  return Object.fromEntries(
    Object.entries(labels).map(([label, value]) => [PREFIX + names[label]!, value]),
  );
}

/**
 * Recorders by the Prometheus name of their histogram. They take values in the unit of the store's
 * figures.
 */
function recordersOf(meter: Meter, attributes: Attributes): Map<string, (value: number) => void> {
  return new Map(
    DISTRIBUTIONS.map(({ name, telemetryName, help, unit, divisor, bounds }) => {
      const explicitBucketBoundaries = bounds.map((bound) => bound / divisor);
      const histogram = meter.createHistogram(PREFIX + telemetryName, {
        description: help,
        unit,
        advice: { explicitBucketBoundaries },
      });
      return [name, (value: number) => histogram.record(value / divisor, attributes)];
    }),
  );
}
