/** `lodestore/opentelemetry`: a store's figures as metrics of `@opentelemetry/api`, which is not installed with lodestore. */
import type {
  Attributes,
  BatchObservableResult,
  Meter,
  Observable,
  ObservableCounter,
  ObservableGauge,
} from '@opentelemetry/api';
import { StoreClosedError } from '../base/errors.ts';
import { commitChannel, mergeChannel } from '../store/observe/channels.ts';
import type { MetadataStore } from '../store/metadata-store.ts';
import type { ScalarMetric } from './definitions.ts';
import { DISTRIBUTIONS } from './distribution-metrics.ts';
import { SCALARS } from './scalar-metrics.ts';
import { SpanRecorder } from './span-recorder.ts';

const PREFIX = 'lodestore.';

export interface ObserveOptions {
  /** Tell the stores of one meter apart. Default: `lodestore.directory`, the store's absolute path. */
  readonly attributes?: Attributes;
}

/**
 * Makes metrics of the figures of `store`. Counters and gauges are read when the meter collects; histograms
 * are recorded commit by commit and merge by merge, from the tracing channels, from this call on. Returns what
 * ends it; closing the store does that too.
 * @throws StoreClosedError
 */
export function observeStore(
  meter: Meter,
  store: MetadataStore,
  options: ObserveOptions = {},
): () => void {
  const { state, directory } = store.stats();
  if (state === 'closed') throw new StoreClosedError();
  const attributes = options.attributes ?? { [`${PREFIX}directory`]: directory };
  const scalars = SCALARS.map((definition) => ({
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
        for (const { label, value } of reading) {
          const key = PREFIX + definition.label!;
          result.observe(observable, value, { ...attributes, [key]: label });
        }
      }
    }
  };
  const recorder = new SpanRecorder(store, recordersOf(meter, attributes));
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
  { telemetryName, kind, help, unit }: ScalarMetric,
): ObservableCounter | ObservableGauge {
  const options = { description: help, unit };
  return kind === 'counter'
    ? meter.createObservableCounter(PREFIX + telemetryName, options)
    : meter.createObservableGauge(PREFIX + telemetryName, options);
}

/** For each histogram, by its name in the definitions, what records a value in the unit of the store's figures. */
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
