import { Registry, type RegistryContentType } from 'prom-client';
import { expect, test, vi } from 'vitest';
import { PACKAGE_VERSION } from '../../src/base/version.ts';
import { MetadataStore } from '../../src/index.ts';
import { prometheusKind } from '../../src/metrics/definitions.ts';
import { DISTRIBUTIONS } from '../../src/metrics/distribution-metrics.ts';
import { collectStore } from '../../src/metrics/prometheus.ts';
import { ALL_SCALARS, SCALARS } from '../../src/metrics/scalar-metrics.ts';
import type { ReplicatedStore } from '../../src/replicated/index.ts';
import {
  CrashFs,
  MemoryCheckpoints,
  openOn,
  openReplicaOn,
  SimulatedLog,
} from '../../src/testing/index.ts';
import { parsePrometheus } from '../support/prometheus-text.ts';

let seed = 0;

function put(key: number): { type: 'put'; key: number; value: number } {
  return { type: 'put', key, value: 1 };
}

async function openBusy(directory = '/s'): Promise<MetadataStore> {
  const store = await openOn(new CrashFs(), directory);
  await Promise.all(Array.from({ length: 20 }, (_, key) => store.insertBatch([put(key)])));
  await store.merge();
  return store;
}

test('every metric is printed with its type, and counters are counters', async () => {
  const register = new Registry();
  const store = await openBusy();
  collectStore(store, { register });
  const families = parsePrometheus(await register.metrics());
  expect([...families.keys()].sort()).toEqual(
    [...SCALARS, ...DISTRIBUTIONS].map(({ name }) => `lodestore_${name}`).sort(),
  );
  for (const metric of SCALARS) {
    const kind = prometheusKind(metric);
    expect(families.get(`lodestore_${metric.name}`)!.type, metric.name).toBe(kind);
    expect(metric.name.endsWith('_total'), metric.name).toBe(kind === 'counter');
  }
  const valueOf = (name: string) => families.get(name)!.samples[0]!.value;
  expect(valueOf('lodestore_records')).toBe(20);
  expect(valueOf('lodestore_batches_total')).toBe(20);
  expect(valueOf('lodestore_merges_total')).toBe(1);
  expect(valueOf('lodestore_writable')).toBe(1);
  expect(families.get('lodestore_records')!.samples[0]!.labels).toEqual({ directory: '/s' });
  expect(families.get('lodestore_last_error_timestamp_seconds')!.samples).toEqual([]);
  const parts = families.get('lodestore_memory_bytes')!.samples.map(({ labels }) => labels['part']);
  expect(parts).toEqual(['base', 'live', 'frozen']);
  expect(families.get('lodestore_build_info')!.samples[0]!.labels).toEqual({
    directory: '/s',
    version: PACKAGE_VERSION,
    log_format: '2',
    snapshot_format: '2',
  });
  await store.close();
});

test("histograms are cumulative, end at +Inf, and agree with the store's figures", async () => {
  const register = new Registry();
  const store = await openBusy();
  collectStore(store, { register });
  const families = parsePrometheus(await register.metrics());
  for (const { name, divisor, read } of DISTRIBUTIONS) {
    const full = `lodestore_${name}`;
    const { type, samples } = families.get(full)!;
    expect(type).toBe('histogram');
    const buckets = samples.filter((sample) => sample.name === `${full}_bucket`);
    const bounds = buckets.map(({ labels }) => Number(labels['le']!.replace('+Inf', 'Infinity')));
    expect(bounds).toEqual(bounds.toSorted((a, b) => a - b));
    expect(bounds.at(-1)).toBe(Infinity);
    const counts = buckets.map(({ value }) => value);
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
    const { count, sum } = read(store.stats());
    expect(counts.at(-1)).toBe(count);
    expect(samples.find((sample) => sample.name === `${full}_count`)!.value).toBe(count);
    expect(samples.find((sample) => sample.name === `${full}_sum`)!.value).toBeCloseTo(
      sum / divisor,
      9,
    );
  }
  await store.close();
});

test('the figures of a scrape are read once', async () => {
  const register = new Registry();
  const store = await openBusy();
  collectStore(store, { register });
  const stats = vi.spyOn(store, 'stats');
  await register.metrics();
  expect(stats).toHaveBeenCalledTimes(1);
  await register.getMetricsAsJSON();
  expect(stats).toHaveBeenCalledTimes(2);
  await store.close();
});

test('labels distinguish several stores in one registry, and closing a store removes it', async () => {
  const register = new Registry();
  const [a, b] = [await openBusy('/a'), await openBusy('/b')];
  collectStore(a, { register, labels: { store: 'a', shard: 1 } });
  collectStore(b, { register, labels: { store: 'b', shard: 2 } });
  const recordsOf = async () =>
    parsePrometheus(await register.metrics()).get('lodestore_records')?.samples;
  expect((await recordsOf())!.map(({ labels }) => labels)).toEqual([
    { store: 'a', shard: '1' },
    { store: 'b', shard: '2' },
  ]);
  await a.close();
  expect((await recordsOf())!.map(({ labels }) => labels['store'])).toEqual(['b']);
  await b.close();
  expect(await recordsOf()).toBeUndefined();
  expect(register.getMetricsAsArray()).toEqual([]);
});

test('the returned function removes the store, which can then be collected again', async () => {
  const register = new Registry();
  const store = await openBusy();
  const remove = collectStore(store, { register, prefix: 'x_' });
  expect(await register.metrics()).toContain('x_records{directory="/s"} 20');
  remove();
  remove();
  expect(register.getMetricsAsArray()).toEqual([]);
  expect(store.listenerCount('closed')).toBe(0);
  collectStore(store, { register });
  register.clear();
  register.resetMetrics();
  collectStore(store, { register, labels: { again: 'yes' } });
  expect(await register.metrics()).toContain('lodestore_records{again="yes"} 20');
  await store.close();
});

test('misuse is refused and leaves nothing behind', async () => {
  const register = new Registry();
  const store = await openBusy();
  collectStore(store, { register });
  const before = register.getMetricsAsArray().length;
  expect(() => collectStore(store, { register })).toThrow(RangeError);
  expect(() => collectStore(store, { register, labels: { le: 'x' } })).toThrow(/'le'/);
  expect(() => collectStore(store, { register, labels: { 'a-b': 'x' } })).toThrow(TypeError);
  expect(() => collectStore(store, { register, labels: { a: {} as string } })).toThrow(TypeError);
  expect(() => collectStore(store, { register, prefix: '1-' })).toThrow(TypeError);
  expect(register.getMetricsAsArray().length).toBe(before);
  const other = new Registry();
  const taken = { name: 'lodestore_syncs_total', get: async () => ({}) };
  other.registerMetric(taken as never);
  expect(() => collectStore(store, { register: other })).toThrow(/already been registered/);
  expect(other.getMetricsAsArray()).toEqual([taken]);
  await store.close();
  expect(() => collectStore(store, { register: new Registry() })).toThrow(/closed/);
});

test('a registry of OpenMetrics names counters as the format requires', async () => {
  const register = new Registry<RegistryContentType>();
  register.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  const store = await openBusy();
  const remove = collectStore(store, { register });
  const text = await register.metrics();
  expect(text).toContain('# TYPE lodestore_batches counter\n');
  expect(text).toContain('lodestore_batches_total{directory="/s"} 20\n');
  remove();
  expect(register.getMetricsAsArray()).toEqual([]);
  await store.close();
});

test("the default is prom-client's own registry", async () => {
  const { register } = await import('prom-client');
  const store = await openBusy();
  collectStore(store);
  expect(await register.metrics()).toContain('lodestore_records{directory="/s"} 20\n');
  await store.close();
});

test('a replicated store has the metrics of its replica beside those of a store', async () => {
  const register = new Registry();
  const options = { log: new SimulatedLog().connect(), checkpoints: new MemoryCheckpoints() };
  const store = await openReplicaOn(new CrashFs(), '/node', options, { seed: 1 });
  collectStore(store, { register });
  await store.promote();
  for (const key of [1n, 2n, 3n]) {
    await store.put(key, 1n);
    await store.checkpoint();
  }
  const families = parsePrometheus(await register.metrics());
  expect([...families.keys()].sort()).toEqual(
    [...ALL_SCALARS, ...DISTRIBUTIONS].map(({ name }) => `lodestore_${name}`).sort(),
  );
  const samplesOf = (name: string) =>
    families.get(`lodestore_replica_${name}`)!.samples.map(({ value }) => value);
  expect(samplesOf('role')).toEqual([0, 0, 1]);
  const figures = ['position', 'log_end', 'lag_entries', 'takeovers_total', 'failed'];
  expect(figures.flatMap(samplesOf)).toEqual([4, 4, 0, 1, 0]);
  const written = ['checkpoint_position', 'checkpoints_total', 'checkpoints_failed_total'];
  expect(written.flatMap(samplesOf)).toEqual([4, 3, 0]);
  expect(['trims_total', 'trimmed_position'].flatMap(samplesOf)).toEqual([2, 3]);
  expect(samplesOf('checkpoint_timestamp_seconds')[0]).toBeGreaterThan(1e9);
  // Not the generation of the directory, which a rebuild replaces.
  expect(families.get('lodestore_records')!.samples[0]!.labels).toEqual({ directory: '/node' });
  await store.close();
  expect(register.getMetricsAsArray()).toEqual([]);
});

test.for(['local', 'replicated'])(
  'a %s store whose close rejects is exported no longer',
  async (kind) => {
    const register = new Registry();
    const [fs, log] = [new CrashFs(), new SimulatedLog()];
    const open = async (): Promise<MetadataStore | ReplicatedStore> => {
      if (kind === 'local') return openOn(fs, '/s');
      const store = await openReplicaOn(fs, '/s', { log: log.connect() }, { seed: ++seed });
      await store.promote();
      return store;
    };
    const store = await open();
    collectStore(store, { register });
    await store.insertBatch([put(1)], { durability: 'deferred' });
    fs.faults.add({ call: 'dataSync', mode: 'sticky' });
    await expect(store.close()).rejects.toMatchObject({ code: 'LODESTORE_POISONED' });
    expect(register.getMetricsAsArray()).toEqual([]);
    fs.faults.clear();
    const again = await open();
    collectStore(again, { register });
    await again.close();
  },
);
