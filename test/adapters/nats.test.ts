import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { NatsEngine } from '../../src/adapters/nats/nats-engine.ts';
import type { NatsOptions } from '../../src/adapters/nats/nats-options.ts';
import { unfitNatsVersion } from '../../src/adapters/nats/nats-examination.ts';
import { LogUnavailableError } from '../../src/replicated/log/log-errors.ts';
import {
  electorConformance,
  shardMapConformance,
  sharedLogConformance,
} from '../../src/testing/index.ts';
import { isNatsFit, NatsCluster } from '../support/engines/nats-cluster.ts';

const never = (): AbortSignal => new AbortController().signal;

test('versions that cannot keep the promise are refused by name', () => {
  for (const version of ['2.9.10', '2.10.26', 'x']) expect(unfitNatsVersion(version)).toBeDefined();
  for (const version of ['2.10.27', '2.11.0', '3.0.0']) {
    expect(unfitNatsVersion(version)).toBeUndefined();
  }
});

test('options are checked', async () => {
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
  let cluster: NatsCluster;
  const engines: NatsEngine[] = [];
  let names = 0;
  const connect = async (): Promise<NatsEngine> => {
    const { servers, monitors } = cluster;
    const engine = await NatsEngine.connect({ servers, monitors, replicas: 1, leaseMs: 1000 });
    engines.push(engine);
    return engine;
  };
  beforeAll(async () => {
    cluster = await NatsCluster.start();
  });
  afterAll(async () => {
    for (const engine of engines) await engine.close();
    await cluster.stop();
  });

  describe('is a shared log', () => {
    const cases = sharedLogConformance(() => {
      const name = `log-${names++}`;
      return { open: async () => (await connect()).log(name) };
    });
    test.each(cases)('$name', async ({ run }) => expect(run()).resolves.toBeUndefined());
  });

  describe('has elections', () => {
    const cases = electorConformance(() => {
      const name = `election-${names++}`;
      return { open: async () => (await connect()).elector(name) };
    });
    test.each(cases)('$name', async ({ run }) => expect(run()).resolves.toBeUndefined());

    test('another is elected when the winner is away', async () => {
      const engine = await connect();
      const { lost } = await engine.elector('e').campaign('first', { signal: never() });
      const other = (await connect()).elector('e').campaign('second', { signal: never() });
      await engine.close();
      await Promise.all([lost, other]);
      expect(engine.description).toContain('NATS at');
    });
  });

  describe('has shard maps', () => {
    const cases = shardMapConformance(() => {
      const name = `map-${names++}`;
      return { open: async () => (await connect()).shardMap(name) };
    });
    test.each(cases)('$name', async ({ run }) => expect(run()).resolves.toBeUndefined());
  });

  test('the log goes on after the server was killed', async () => {
    const log = await (await connect()).log('killed');
    for (let p = 1n; p <= 20n; p++) await log.append(p, Buffer.from(`entry ${p}`));
    const [node] = cluster.nodes;
    await node!.kill();
    await expect(log.append(21n, Buffer.from('late'))).rejects.toThrow(LogUnavailableError);
    node!.start();
    await cluster.untilReady();
    await expect.poll(() => log.append(21n, Buffer.from('late')).catch(String)).toBe('appended');
    expect(await log.bounds()).toEqual({ first: 1n, last: 21n });
  });

  test('a server that does not sync each entry is refused where it can be seen', async () => {
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
});
