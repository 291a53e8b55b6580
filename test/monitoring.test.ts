import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { collectStore } from '../src/metrics/prometheus.ts';
import { prometheusKind } from '../src/metrics/definitions.ts';
import { DISTRIBUTIONS } from '../src/metrics/distribution-metrics.ts';
import { ALL_SCALARS } from '../src/metrics/scalar-metrics.ts';
import {
  CrashFs,
  MemoryCheckpoints,
  openOn,
  openReplicaOn,
  SimulatedLog,
  type CallScheduler,
} from '../src/testing/index.ts';
import { CheckpointStoreError, ReplicatedStore } from '../src/replicated/index.ts';
import {
  CorruptionError,
  StoreFullError,
  StorePoisonedError,
  type MetadataStore,
} from '../src/index.ts';
import type * as timers from '../src/base/timers.ts';
import { parsePrometheus } from './support/prometheus-text.ts';
import { isFiring, readAlertRules, type Scrape } from './support/prometheus-rules.ts';

const clock = { ms: 0 };

vi.mock('../src/base/timers.ts', async (load) => ({
  ...(await load<typeof timers>()),
  monotonicMs: () => clock.ms,
}));

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MIB = 1024 * 1024;

function read(path: string): string {
  return readFileSync(ROOT + path, 'utf8');
}

const METRICS = [...ALL_SCALARS, ...DISTRIBUTIONS];
const SERIES = new Set(
  METRICS.flatMap((metric) => {
    const name = `lodestore_${metric.name}`;
    const isHistogram = prometheusKind(metric) === 'histogram';
    return isHistogram ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name];
  }),
);

describe('the dashboard', () => {
  const dashboard = JSON.parse(read('monitoring/grafana-dashboard.json')) as {
    panels: { id: number; type: string; title: string; targets?: { expr: string }[] }[];
    templating: { list: { type: string; query: string }[] };
  };
  const expressions = dashboard.panels.flatMap(({ targets = [] }) =>
    targets.map(({ expr }) => expr),
  );
  const variables = dashboard.templating.list
    .filter(({ type }) => type === 'query')
    .map(({ query }) => query);
  const asked = [...expressions, ...variables].flatMap((query) =>
    query.match(/\b[a-z]\w*(?=[{,])/g)!,
  );

  test('queries exactly the metrics that a store exports', () => {
    expect(asked.filter((name) => !SERIES.has(name))).toEqual([]);
  });

  test('shows every metric', () => {
    const shown = new Set(asked.map((name) => name.replace(/_(bucket|sum|count)$/, '')));
    const missing = METRICS.map(({ name }) => `lodestore_${name}`).filter(
      (name) => !shown.has(name),
    );
    expect(missing, 'add a panel to monitoring/grafana-dashboard.json').toEqual([]);
  });

  test('selects stores by the labels that Prometheus and collectStore set', () => {
    for (const expression of expressions) {
      const selectors = expression.match(/lodestore_\w+\{[^}]*\}/g)!;
      expect(selectors.length).toBe(expression.match(/lodestore_/g)!.length);
      for (const selector of selectors) {
        expect(selector).toContain('{instance=~"$instance",directory=~"$directory"}');
      }
    }
  });

  test('has panels with unique ids and titles, each with a query', () => {
    const { panels } = dashboard;
    for (const key of ['id', 'title'] as const) {
      expect(new Set(panels.map((panel) => panel[key])).size).toBe(panels.length);
    }
    for (const { type, title, targets = [] } of panels) {
      expect(targets.length > 0, title).toBe(type !== 'row');
    }
  });
});

const RULES = readAlertRules(read('monitoring/alert-rules.yml'));

test('the guide lists every alert rule unchanged', () => {
  const rows = read('docs/guides/monitor.md')
    .split('\n')
    .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| /, '').trim()));
  const listed = rows
    .filter(([alert]) => alert?.startsWith('`Lodestore') === true)
    .map(([alert, expr, duration]) => [alert, expr, duration]);
  const wanted = RULES.map(({ alert, expr, forSeconds }) => [
    `\`${alert}\``,
    `\`${expr}\``,
    forSeconds === 0 ? '' : `${forSeconds / 60}m`,
  ]);
  expect(listed).toEqual(wanted);
});

const fired = new Set<string>();
/** Their metrics are those of replicated stores. */
const REPLICA_ALERT = /^Lodestore(?:Replica\w+|EngineUnavailable|Failovers|Checkpoint\w+)$/;

/** Scrapes a store as Prometheus does, every 15 seconds. */
class Monitor {
  readonly #register = new Registry();
  readonly #isReplicated: boolean;
  readonly #scrapes: Scrape[] = [];
  #atSeconds = Math.floor(Date.now() / 1_000);

  constructor(store: MetadataStore | ReplicatedStore) {
    this.#isReplicated = 'replica' in store.stats();
    collectStore(store, { register: this.#register });
  }

  async scrape(): Promise<void> {
    const families = parsePrometheus(await this.#register.metrics());
    this.#scrapes.push({ atSeconds: (this.#atSeconds += 15), families });
  }

  async scrapeFor(seconds: number): Promise<void> {
    for (let passed = 0; passed < seconds; passed += 15) await this.scrape();
  }

  /** The alerts that fire at the last scrape. */
  firing(): string[] {
    const rules = RULES.filter(({ alert }) => this.#isReplicated || !REPLICA_ALERT.test(alert));
    const alerts = rules.filter((rule) => isFiring(rule, this.#scrapes)).map(({ alert }) => alert);
    for (const alert of alerts) fired.add(alert);
    return alerts;
  }
}

function put(key: number): { type: 'put'; key: number; value: number } {
  return { type: 'put', key, value: 1 };
}

async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
}

/** Makes writes to logs take `ms` of the store's clock, or forever while `isHeld`. */
class SlowLogs implements CallScheduler {
  ms = 0;
  isHeld = false;
  readonly #held: (() => void)[] = [];

  async turn(label: string): Promise<void> {
    if (!/^write .*log_/.test(label)) return;
    clock.ms += this.ms;
    if (this.isHeld) await new Promise<void>((release) => this.#held.push(release));
  }

  release(): void {
    this.isHeld = false;
    for (const release of this.#held.splice(0)) release();
  }
}

async function monitored(
  options: Parameters<typeof openOn>[2] = {},
  fsOptions: ConstructorParameters<typeof CrashFs>[0] = {},
): Promise<{ fs: CrashFs; store: MetadataStore; monitor: Monitor }> {
  const fs = new CrashFs({ trace: false, ...fsOptions });
  const store = await openOn(fs, '/s', options);
  const monitor = new Monitor(store);
  await store.insertBatch([put(1)]);
  await monitor.scrapeFor(600);
  expect(monitor.firing()).toEqual([]);
  return { fs, store, monitor };
}

describe('every alert fires when it should, alone, and not before', () => {
  beforeEach(() => {
    clock.ms = 0;
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('a failed write that poisons the store', async () => {
    const { fs, store, monitor } = await monitored();
    fs.faults.add({ call: 'writeSync', error: 'EIO' });
    await expect(store.insertBatch([put(2)])).rejects.toBeInstanceOf(StorePoisonedError);
    await monitor.scrape();
    expect(monitor.firing()).toEqual(['LodestoreNotWritable', 'LodestoreWritesRejected']);
    // A past rejection counts for five minutes, a poisoned store until the next open.
    await monitor.scrapeFor(300);
    expect(monitor.firing()).toEqual(['LodestoreNotWritable']);
    await store.close();
  });

  test('a sync that does not return', async () => {
    const scheduler = new SlowLogs();
    const { store, monitor } = await monitored({}, { scheduler });
    scheduler.isHeld = true;
    const write = store.insertBatch([put(2)]);
    await turns();
    await monitor.scrapeFor(45);
    expect(monitor.firing()).toEqual([]);
    await monitor.scrapeFor(30);
    expect(monitor.firing()).toEqual(['LodestoreCommitsStuck']);
    scheduler.release();
    await write;
    await monitor.scrape();
    expect(monitor.firing()).toEqual([]);
    await store.close();
  });

  test.each([
    ['maxBytes', { maxBytes: 8 * MIB }, {}],
    ['a full disk', {}, { capacityBytes: 8 * MIB }],
  ])('puts that will be refused, and puts that are: %s', async (_what, options, fsOptions) => {
    const { store, monitor } = await monitored(options, fsOptions);
    const seen = new Set<string>();
    let refusal: unknown;
    for (let key = 2; refusal === undefined && key < 2_000; key++) {
      const data = crypto.getRandomValues(new Uint8Array(60_000));
      refusal = await store.insertBatch([{ type: 'put', key, value: 1, data }]).then(
        () => undefined,
        (error: unknown) => error,
      );
      for (let i = 0; i < 5; i++) await new Promise(setImmediate);
      await monitor.scrape();
      if (refusal === undefined) for (const alert of monitor.firing()) seen.add(alert);
    }
    expect(refusal).toBeInstanceOf(StoreFullError);
    expect(seen).toContain('LodestoreSpaceLow');
    expect(seen).not.toContain('LodestoreWritesRejected');
    expect(monitor.firing()).toEqual(
      expect.arrayContaining(['LodestoreFull', 'LodestorePutRoomLow']),
    );
    await store.close();
  });

  test('a merge that finds damage', async () => {
    const { fs, store, monitor } = await monitored();
    await store.merge();
    await store.insertBatch([put(1)]);
    const [path, bytes] = [...fs.files()].find(([name]) => name.includes('snapshot'))!;
    fs.damage(path, bytes.length - 30, Uint8Array.of(bytes.at(-30)! ^ 0xff));
    await expect(store.merge()).rejects.toBeInstanceOf(CorruptionError);
    await monitor.scrape();
    expect(monitor.firing()).toEqual(['LodestoreMergingStopped']);
    await store.close();
  });

  test('merges that fail repeatedly', async () => {
    const { fs, store, monitor } = await monitored({ mergeBytes: 2 ** 40 });
    fs.faults.add({ call: 'open', error: 'EACCES', mode: 'sticky', path: /\.tmp$/ });
    for (let failures = 1; failures <= 4; failures++) {
      await store.insertBatch([put(failures)]);
      await expect(store.merge()).rejects.toThrow(/EACCES/);
      await monitor.scrape();
      expect(monitor.firing()).toEqual(failures > 3 ? ['LodestoreMergesFailing'] : []);
    }
    await store.close();
  });

  test.each([
    [200, []],
    [300, ['LodestoreSlowSyncs']],
  ])('syncs that take %i ms', async (ms, alerts) => {
    const scheduler = new SlowLogs();
    const { store, monitor } = await monitored({}, { scheduler });
    scheduler.ms = ms;
    for (let key = 0; key < 50; key++) {
      await store.insertBatch([put(key)]);
      await monitor.scrape();
    }
    expect(monitor.firing()).toEqual(alerts);
    await store.close();
  });

  test('writers that wait for minutes', async () => {
    const scheduler = new SlowLogs();
    const { store, monitor } = await monitored({ queueBatches: 2 }, { scheduler });
    const writes: Promise<unknown>[] = [];
    scheduler.isHeld = true;
    for (let minute = 0; minute < 6; minute++) {
      for (let i = 0; i < 4; i++) writes.push(store.insertBatch([put(minute * 4 + i)]));
      await turns();
      await monitor.scrapeFor(60);
      expect(monitor.firing()).toEqual(minute < 5 ? [] : ['LodestoreBackpressure']);
      scheduler.release();
      scheduler.isHeld = true;
      await turns();
    }
    scheduler.release();
    await Promise.all(writes);
    await store.close();
  });

  test('a store salvaged with losses', async () => {
    const fs = new CrashFs({ trace: false });
    const broken = await openOn(fs, '/s');
    for (let key = 0; key < 3; key++) await broken.insertBatch([put(key)]);
    await broken.close();
    const [path] = [...fs.files()].find(([name]) => name.includes('log_'))!;
    fs.damage(path, 150, Uint8Array.of(0xff, 0xff, 0xff, 0xff));
    const store = await openOn(fs, '/s', { recovery: 'salvage' });
    const monitor = new Monitor(store);
    await monitor.scrape();
    expect(monitor.firing()).toEqual(['LodestoreSalvaged']);
    await store.close();
  });

  describe('of a replicated store', () => {
    const open = async (
      log: SimulatedLog,
      seed: number,
      checkpoints = new MemoryCheckpoints(),
      checkpointEveryMs = 0,
    ) => {
      const connection = log.connect();
      const options = { log: connection, checkpoints: checkpoints.connect(), pollMs: 1 };
      const own = { lostAfterMs: 20, checkpointEveryMs };
      const fs = new CrashFs({ trace: false });
      const store = await openReplicaOn(fs, '/node', { ...options, ...own }, { seed });
      onTestFinished(() => store.close());
      return { store, connection, monitor: new Monitor(store) };
    };

    test('a log that lost entries', async () => {
      const log = new SimulatedLog();
      const { store, monitor } = await open(log, 1);
      await store.promote();
      await store.put(1n, 1n);
      await store.put(2n, 1n);
      await monitor.scrapeFor(600);
      expect(monitor.firing()).toEqual([]);
      log.lose(1n);
      await expect.poll(() => store.stats().replica.failure).toBeDefined();
      await monitor.scrape();
      expect(monitor.firing()).toEqual(['LodestoreReplicaFailed']);
    });

    test('an engine that is away, a replica that falls behind, a primary that changes', async () => {
      const log = new SimulatedLog();
      const [one, other] = [await open(log, 2), await open(log, 3)];
      await one.store.promote();
      await one.monitor.scrapeFor(600);
      expect(one.monitor.firing()).toEqual([]);
      for (const { store } of [other, one, other, one]) {
        // A primary that was deposed does not know it yet.
        await expect.poll(() => store.role).toBe('replica');
        await store.promote();
      }
      await one.store.reached(log.bounds.last);
      await one.monitor.scrape();
      expect(one.monitor.firing()).toEqual(['LodestoreFailovers']);
      other.connection.cut();
      await expect.poll(() => other.store.stats().replica.engineFailures).toBeGreaterThan(1);
      await other.monitor.scrape();
      const before = other.store.stats().replica.engineFailures;
      await expect
        .poll(() => other.store.stats().replica.engineFailures)
        .toBeGreaterThan(before + 20);
      await other.monitor.scrape();
      expect(other.monitor.firing()).toEqual(['LodestoreEngineUnavailable']);
      vi.spyOn(other.store, 'stats').mockImplementation(() => {
        const figures = ReplicatedStore.prototype.stats.call(other.store);
        return { ...figures, replica: { ...figures.replica, lag: { entries: 10_001n } } };
      });
      await other.monitor.scrapeFor(3_600);
      expect(other.monitor.firing()).toContain('LodestoreReplicaLagging');
    });

    test('no checkpoint for hours', async () => {
      const { store, monitor } = await open(new SimulatedLog(), 4);
      await store.promote();
      await store.put(1n, 1n);
      const { position } = await store.checkpoint();
      expect(store.stats().replica.checkpoints).toMatchObject({
        newestPosition: position,
        written: 1,
        failed: 0,
      });
      await monitor.scrapeFor(7_000);
      expect(monitor.firing()).toEqual([]);
      await monitor.scrapeFor(400);
      expect(monitor.firing()).toEqual(['LodestoreCheckpointOld']);
    });

    test('a checkpoint store that has not worked since the open', async () => {
      const checkpoints = new MemoryCheckpoints();
      const away = checkpoints.connect();
      checkpoints.connect = () => away;
      const { store, monitor } = await open(new SimulatedLog(), 5, checkpoints, 1);
      await monitor.scrape();
      expect(monitor.firing()).toEqual([]);
      away.list = () => {
        throw new CheckpointStoreError('unavailable', 'there is no such bucket');
      };
      await store.promote();
      await expect(store.trim()).rejects.toThrow('no such bucket');
      // The schedule, too.
      await expect.poll(() => store.stats().replica.checkpoints.failed).toBeGreaterThan(2);
      await monitor.scrape();
      expect(monitor.firing()).toContain('LodestoreCheckpointsFailing');
      await monitor.scrapeFor(7_400);
      expect(monitor.firing()).toContain('LodestoreCheckpointOld');
    });
  });

  test('every rule is tested', () => {
    expect(RULES.map(({ alert }) => alert).filter((alert) => !fired.has(alert))).toEqual([]);
  });
});

test('a read-only store raises no alert', async () => {
  const fs = new CrashFs({ trace: false });
  await (await openOn(fs, '/s')).close();
  const store = await openOn(fs, '/s', { readOnly: true });
  const monitor = new Monitor(store);
  await monitor.scrapeFor(3600);
  expect(monitor.firing()).toEqual([]);
  await store.close();
});
