import { hasSubscribers } from 'node:diagnostics_channel';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
  type MetricData,
} from '@opentelemetry/sdk-metrics';
import { expect, onTestFinished, test } from 'vitest';
import { DISTRIBUTIONS } from '../../src/metrics/distribution-metrics.ts';
import { observeStore } from '../../src/metrics/opentelemetry.ts';
import { SCALARS } from '../../src/metrics/scalar-metrics.ts';
import { ReplicatedStore } from '../../src/replicated/index.ts';
import { CrashFs, openOn, openReplicaOn, SimulatedLog } from '../../src/testing/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

function makeMeter() {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  onTestFinished(() => provider.shutdown());
  /** All current metrics by name. */
  const collect = async (): Promise<Map<string, MetricData>> => {
    exporter.reset();
    await provider.forceFlush();
    const metrics = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics);
    return new Map(metrics.flatMap((scope) => scope.metrics).map((m) => [m.descriptor.name, m]));
  };
  return { meter: provider.getMeter('test'), collect };
}

function put(key: number): { type: 'put'; key: number; value: number } {
  return { type: 'put', key, value: 1 };
}

const COMMITS = 'tracing:lodestore:commit:asyncEnd';
const HISTOGRAM_NAMES = DISTRIBUTIONS.map(({ telemetryName }) => `lodestore.${telemetryName}`);

test('counters, gauges and histograms are exported', async () => {
  const { meter, collect } = makeMeter();
  await using store = await openOn(new CrashFs(), '/s');
  observeStore(meter, store);
  await Promise.all(Array.from({ length: 20 }, (_, key) => store.insertBatch([put(key)])));
  await store.insertBatch([put(7)], { durability: 'deferred' });
  await store.merge();
  const metrics = await collect();
  const silent = new Set(['max_bytes', 'last_error_timestamp_seconds']);
  const names = SCALARS.filter(({ name }) => !silent.has(name)).map(
    ({ telemetryName }) => `lodestore.${telemetryName}`,
  );
  for (const name of [...names, ...HISTOGRAM_NAMES]) expect(metrics.has(name), name).toBe(true);
  const batches = metrics.get('lodestore.batch.written')!;
  expect(batches).toMatchObject({ dataPointType: DataPointType.SUM, isMonotonic: true });
  expect(batches.dataPoints[0]).toMatchObject({
    value: 21,
    attributes: { 'lodestore.directory': '/s' },
  });
  // A sum over stores is meaningful for records, but not for sequence numbers.
  expect(metrics.get('lodestore.record.count')).toMatchObject({
    dataPointType: DataPointType.SUM,
    isMonotonic: false,
  });
  expect(metrics.get('lodestore.batch.sequence')!.dataPointType).toBe(DataPointType.GAUGE);
  const memory = metrics.get('lodestore.memory.usage')!.dataPoints;
  expect(memory.map(({ attributes }) => attributes['lodestore.memory.part'])).toEqual([
    'base',
    'live',
    'frozen',
  ]);
});

test("histograms have the store's counts, in the units that they name", async () => {
  const { meter, collect } = makeMeter();
  await using store = await openOn(new CrashFs(), '/s');
  observeStore(meter, store, { attributes: { shard: 3 } });
  await Promise.all(Array.from({ length: 20 }, (_, key) => store.insertBatch([put(key)])));
  await store.merge();
  const metrics = await collect();
  const { latency, batchesPerGroup } = store.stats().commits;
  const pointOf = (name: string) => {
    const metric = metrics.get(name)!;
    expect(metric.dataPointType).toBe(DataPointType.HISTOGRAM);
    const [point] = metric.dataPoints;
    expect(point!.attributes).toEqual({ shard: 3 });
    return point!.value as { count: number; sum: number; buckets: { boundaries: number[] } };
  };
  expect(pointOf('lodestore.batch.duration').count).toBe(20);
  expect(pointOf('lodestore.group.batches')).toMatchObject({
    count: batchesPerGroup.count,
    sum: 20,
  });
  // The seal of the merge is not a commit.
  expect(pointOf('lodestore.log.sync.duration').count).toBe(batchesPerGroup.count);
  expect(pointOf('lodestore.log.sync.duration').sum).toBeLessThanOrEqual(latency.syncMs.sum / 1000);
  expect(pointOf('lodestore.merge.duration').count).toBe(1);
  const { bounds, divisor } = DISTRIBUTIONS[0]!;
  expect(pointOf('lodestore.group.encode.duration').buckets.boundaries).toEqual(
    bounds.map((bound) => bound / divisor),
  );
});

test('several stores are distinguished, and each metric counts only its own commits', async () => {
  const { meter, collect } = makeMeter();
  const fs = new CrashFs();
  const [a, b] = [await openOn(fs, '/a'), await openOn(fs, '/b')];
  observeStore(meter, a);
  observeStore(meter, b);
  await a.insertBatch([put(1)]);
  await b.insertBatch([put(1)]);
  await b.insertBatch([put(2)]);
  const points = (await collect()).get('lodestore.batch.duration')!.dataPoints;
  const counts = points.map(({ attributes, value }) => [
    attributes['lodestore.directory'],
    (value as { count: number }).count,
  ]);
  expect(counts).toEqual([
    ['/a', 1],
    ['/b', 2],
  ]);
  await a.close();
  await b.close();
});

test('nothing is subscribed before and after, whether the returned function or a close ends it', async () => {
  const { meter, collect } = makeMeter();
  const store = await openOn(new CrashFs(), '/s');
  expect(hasSubscribers(COMMITS)).toBe(false);
  const end = observeStore(meter, store);
  expect(hasSubscribers(COMMITS)).toBe(true);
  end();
  end();
  expect(hasSubscribers(COMMITS)).toBe(false);
  expect(store.listenerCount('closed')).toBe(0);
  const points = [...(await collect()).values()].map(({ dataPoints }) => dataPoints.length);
  expect(points.filter((count) => count > 0)).toEqual([]);
  observeStore(meter, store);
  await store.close();
  await new Promise((resolve) => setImmediate(resolve));
  expect(hasSubscribers(COMMITS)).toBe(false);
  expect(() => observeStore(meter, store)).toThrow(/closed/);
});

test('a replicated store: its role, and the commits of the store in its directory', async () => {
  const { meter, collect } = makeMeter();
  const log = new SimulatedLog().connect();
  const fs = new CrashFs();
  await using store = await openReplicaOn(fs, '/node', { log }, { seed: 1 });
  await using other = await openOn(fs, '/nodes');
  observeStore(meter, store);
  await store.promote();
  await store.put(1n, 1n);
  await other.put(1n, 1n);
  const metrics = await collect();
  const role = metrics.get('lodestore.replica.role')!;
  const roles = role.dataPoints.map(({ attributes, value }) => [
    attributes['lodestore.replica.role'],
    value,
  ]);
  expect(roles).toEqual([
    ['replica', 0],
    ['candidate', 0],
    ['primary', 1],
  ]);
  const [batches] = metrics.get('lodestore.batch.duration')!.dataPoints;
  expect(batches!.value).toMatchObject({ count: 1 });
  expect(batches!.attributes).toEqual({ 'lodestore.directory': '/node' });
});

test('the commits of a replicated store behind a symbolic link are recorded', async () => {
  const { meter, collect } = makeMeter();
  const directory = await temporaryDirectory();
  await mkdir(join(directory, 'real'));
  await symlink(join(directory, 'real'), join(directory, 'link'));
  const log = new SimulatedLog().connect();
  await using store = await ReplicatedStore.open(join(directory, 'link', 'node'), { log });
  observeStore(meter, store);
  await store.promote();
  await store.put(1n, 1n);
  const [batches] = (await collect()).get('lodestore.batch.duration')!.dataPoints;
  expect(batches!.value).toMatchObject({ count: 1 });
  expect(batches!.attributes).toEqual({ 'lodestore.directory': join(directory, 'real', 'node') });
});
