import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EtcdEngine } from '../../src/adapters/etcd/etcd-engine.ts';
import {
  electorConformance,
  shardMapConformance,
  sharedLogConformance,
} from '../../src/testing/index.ts';
import { ETCD, EtcdCluster } from '../support/engines/etcd-cluster.ts';

const never = (): AbortSignal => new AbortController().signal;

describe.skipIf(ETCD === undefined)('lodestore/etcd (needs etcd-server)', () => {
  let cluster: EtcdCluster;
  let engines: EtcdEngine[] = [];
  let logs = 0;
  const connect = async (): Promise<EtcdEngine> => {
    const engine = await EtcdEngine.connect({ endpoints: cluster.endpoints });
    engines.push(engine);
    return engine;
  };

  beforeAll(async () => {
    cluster = await EtcdCluster.start();
    engines = [];
  });
  afterAll(async () => {
    for (const engine of engines) await engine.close();
    await cluster.stop();
  });

  describe('is a shared log', () => {
    const cases = sharedLogConformance(() => {
      const name = `log-${logs++}`;
      return { open: async () => (await connect()).log(name) };
    });
    test.each(cases)('$name', async ({ run }) => expect(run()).resolves.toBeUndefined());
  });

  describe('has elections', () => {
    const cases = electorConformance(() => {
      const name = `election-${logs++}`;
      return { open: async () => (await connect()).elector(name) };
    });
    test.each(cases)('$name', async ({ run }) => expect(run()).resolves.toBeUndefined());

    test('a winner whose lease ends has lost, and another is elected', async () => {
      const engine = await connect();
      const { lost } = await engine.elector('e').campaign('first', { signal: never() });
      const other = (await connect()).elector('e').campaign('second', { signal: never() });
      const post = async (
        path: string,
        body: object,
      ): Promise<{ kvs: Record<string, string>[] }> => {
        const options = { method: 'POST', body: JSON.stringify(body) };
        return (await (await fetch(cluster.endpoints[0]! + path, options)).json()) as never;
      };
      const key = Buffer.from('lodestore/primary/e').toString('base64');
      const { kvs } = await post('/v3/kv/range', { key });
      expect(Buffer.from(kvs[0]!['value']!, 'base64').toString()).toBe('first');
      await post('/v3/lease/revoke', { ID: kvs[0]!['lease'] });
      await Promise.all([lost, other]);
    });

    test('a winner that is closed has lost', async () => {
      const engine = await connect();
      const { lost } = await engine.elector('c').campaign('first', { signal: never() });
      await engine.close();
      await expect(lost).resolves.toBeUndefined();
    });
  });

  describe('has shard maps', () => {
    const cases = shardMapConformance(() => {
      const name = `map-${logs++}`;
      return { open: async () => (await connect()).shardMap(name) };
    });
    test.each(cases)('$name', async ({ run }) => expect(run()).resolves.toBeUndefined());
  });
});
