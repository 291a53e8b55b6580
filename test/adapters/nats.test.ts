import { jetstreamManager, type JetStreamManager, type StreamConfig } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { describe, expect, onTestFinished, test } from 'vitest';
import { NatsEngine } from '../../src/adapters/nats/nats-engine.ts';
import type { NatsOptions } from '../../src/adapters/nats/nats-options.ts';
import {
  LOG_STREAM,
  MAX_ENTRY_BYTES,
  replicaFinding,
  unfitNatsPayload,
  unfitNatsStream,
  unfitNatsVersion,
} from '../../src/adapters/nats/nats-examination.ts';
import { LogUnavailableError } from '../../src/replicated/log/log-errors.ts';
import { engineSuite } from '../support/engines/engine-suite.ts';
import { isNatsFit, NatsCluster } from '../support/engines/nats-cluster.ts';

test('versions that cannot keep the guarantees are refused', () => {
  for (const version of ['2.9.10', '2.10.26', 'x']) expect(unfitNatsVersion(version)).toBeDefined();
  for (const version of ['2.10.27', '2.11.0', '3.0.0']) {
    expect(unfitNatsVersion(version)).toBeUndefined();
  }
});

test('a server that refuses the largest entry is unfit, before an append fails for ever', () => {
  expect(unfitNatsPayload(MAX_ENTRY_BYTES)).toMatch(/max_payload is 262144 bytes/);
  expect(unfitNatsPayload(1024 * 1024)).toBeUndefined();
});

test('a stream that would drop entries is unfit', () => {
  const wanted = { ...LOG_STREAM, name: 's' };
  const unfit = (changed: object): string | undefined =>
    unfitNatsStream(wanted, { ...wanted, max_msgs: 10, ...changed })?.check;
  expect(unfit({})).toBeUndefined();
  expect(unfit({ max_msgs_per_subject: 0 })).toBeUndefined();
  expect(unfit({ storage: 'memory' })).toBe('storage');
  expect(unfit({ retention: 'workqueue' })).toBe('retention');
  expect(unfit({ discard: 'old' })).toBe('discard');
  expect(unfit({ max_age: 1 })).toBe('max_age');
  expect(unfit({ max_msgs_per_subject: 1 })).toBe('max_msgs_per_subject');
  expect(unfit({ persist_mode: 'async' })).toBe('persist_mode');
  expect(unfit({ max_msg_size: 256 * 1024 })).toBe('max_msg_size');
  expect(unfit({ max_msg_size: 1024 * 1024 })).toBeUndefined();
  expect(unfit({ max_consumers: 1 })).toBe('max_consumers');
  expect(unfit({ deny_purge: true })).toBe('deny_purge');
  expect(unfit({ deny_purge: undefined, no_ack: undefined })).toBeUndefined();
  expect(unfit({ no_ack: true })).toBe('no_ack');
  const lease = { name: 's', max_age: 3, max_msgs_per_subject: 1 };
  expect(unfitNatsStream(lease, { max_age: 9, max_msgs_per_subject: -1 })).toBeUndefined();
});

test('a stream with one replica is reported', () => {
  const stateOf = (count: number): string =>
    replicaFinding({ name: 's', num_replicas: count } as StreamConfig).state;
  expect([1, 3].map(stateOf)).toEqual(['warning', 'good']);
});

test('invalid options are refused', async () => {
  const servers = ['127.0.0.1:1'];
  const wrong = [
    {},
    { servers: [] },
    { servers, replicas: 2 },
    { servers, prefix: 'a.b' },
    { servers, timeoutMs: 5 },
    { servers, monitor: 'x' },
  ];
  for (const options of wrong) {
    await expect(NatsEngine.connect(options as NatsOptions)).rejects.toThrow(/options/);
  }
  await expect(NatsEngine.connect({ servers })).rejects.toThrow(LogUnavailableError);
});

describe.skipIf(!isNatsFit())('lodestore/nats (needs nats-server 2.10.27)', () => {
  let addresses: readonly string[] = [];
  engineSuite('NATS at', async () => {
    const cluster = await NatsCluster.start();
    const { monitors, nodes } = cluster;
    addresses = cluster.servers;
    return {
      connect: () =>
        NatsEngine.connect({ servers: addresses, monitors, replicas: 1, leaseMs: 1000 }),
      kill: () => nodes[0]!.kill(),
      restart: async () => {
        nodes[0]!.start();
        await cluster.untilReady();
      },
      stop: () => cluster.stop(),
    };
  });

  async function openManager(): Promise<JetStreamManager> {
    const client = await connect({ servers: [...addresses] });
    onTestFinished(() => client.close());
    return jetstreamManager(client);
  }

  async function openEngine(prefix: string, leaseMs: number): Promise<NatsEngine> {
    const options = { servers: addresses, replicas: 1, prefix, leaseMs } as const;
    const engine = await NatsEngine.connect(options);
    onTestFinished(() => engine.close());
    return engine;
  }

  test('a longer lease holds in a stream of elections that was made for a shorter one', async () => {
    const { signal } = new AbortController();
    const short = await openEngine('leases', 1000);
    await short.elector('short').campaign('one', { signal });
    const long = await openEngine('leases', 4000);
    const { lost } = await long.elector('long').campaign('two', { signal });
    let isLost = false;
    void lost.then(() => {
      isLost = true;
    });
    const { streams } = await openManager();
    const claim = { last_by_subj: 'leases.primary.long' };
    const position = async (): Promise<number> =>
      (await streams.getMessage('leases-primaries', claim))?.seq ?? 0;
    const first = await position();
    // The first renewal comes after the shorter lease would have ended.
    await expect.poll(position).toBeGreaterThan(first);
    expect(isLost).toBe(false);
    await (await openEngine('leases', 1000)).elector('other').campaign('three', { signal });
    const { config } = await streams.info('leases-primaries');
    expect(config.max_age).toBe(4_000_000_000);
  });

  test('a log whose stream would drop entries is refused by name', async () => {
    const { streams } = await openManager();
    await streams.add({ name: 'unfit-log-one', subjects: ['unfit.log.one'], discard: 'old' });
    const opening = (await openEngine('unfit', 1000)).log('one');
    await expect(opening).rejects.toMatchObject({ name: 'UnfitEngineError', setting: 'discard' });
    await expect(opening).rejects.toThrow(/unfit-log-one has discard = old/);
  });

  test('a log is looked for without creating its stream', async () => {
    const { streams } = await openManager();
    const engine = await openEngine('look', 1000);
    const missing = { code: 'LODESTORE_NOT_FOUND' };
    for (let i = 0; i < 2; i++) {
      await expect(engine.log('one', { create: false })).rejects.toMatchObject(missing);
    }
    await expect(streams.info('look-log-one')).rejects.toThrow(/stream not found/);
    await (await engine.log('one')).append(1n, Buffer.from('one'));
    const checks = (await engine.examine('one')).map(({ check }) => check);
    expect(checks).toContain('num_replicas');
    const found = await engine.log('one', { create: false });
    expect(await found.bounds()).toEqual({ first: 1n, last: 1n });
  });

  test('a server that does not sync each entry is refused if monitoring shows it', async () => {
    const lax = await NatsCluster.start({ syncInterval: '2m' });
    onTestFinished(() => lax.stop());
    const { servers, monitors } = lax;
    const expected = { name: 'UnfitEngineError', setting: 'sync_interval' };
    await expect(NatsEngine.connect({ servers, monitors })).rejects.toMatchObject(expected);
    const blind = await NatsEngine.connect({ servers });
    onTestFinished(() => blind.close());
    const findings = await blind.examine();
    expect(findings.map(({ check, state }) => `${check}: ${state}`)).toEqual([
      'endpoint: good',
      'sync: unknown',
    ]);
  });

  test('a server with a small max_payload is refused', async () => {
    const small = await NatsCluster.start({ maxPayloadBytes: 64 * 1024 });
    onTestFinished(() => small.stop());
    const { servers, monitors } = small;
    const expected = { name: 'UnfitEngineError', setting: 'max_payload' };
    await expect(NatsEngine.connect({ servers, monitors })).rejects.toMatchObject(expected);
  });
});
