import { describe, expect, test } from 'vitest';
import { EtcdEngine } from '../../src/adapters/etcd/etcd-engine.ts';
import { engineSuite } from '../support/engines/engine-suite.ts';
import { ETCD, EtcdCluster } from '../support/engines/etcd-cluster.ts';

describe.skipIf(ETCD === undefined)('lodestore/etcd (needs etcd-server)', () => {
  let endpoint = '';
  const connect = engineSuite('etcd at', async () => {
    const cluster = await EtcdCluster.start();
    const { endpoints } = cluster;
    endpoint = endpoints[0]!;
    return {
      connect: () => EtcdEngine.connect({ endpoints }),
      kill: () => cluster.nodes[0]!.kill(),
      restart: async () => {
        cluster.nodes[0]!.start();
        await cluster.untilReady();
      },
      stop: () => cluster.stop(),
    };
  });

  test('a winner whose lease expires has lost, and another is elected', async () => {
    const { signal } = new AbortController();
    const engine = await connect();
    const { lost } = await engine.elector('lease').campaign('first', { signal });
    const other = (await connect()).elector('lease').campaign('second', { signal });
    const post = async (path: string, body: object): Promise<{ kvs: Record<string, string>[] }> => {
      const options = { method: 'POST', body: JSON.stringify(body) };
      return (await (await fetch(endpoint + path, options)).json()) as never;
    };
    const key = Buffer.from('lodestore/primary/lease').toString('base64');
    const { kvs } = await post('/v3/kv/range', { key });
    expect(Buffer.from(kvs[0]!['value']!, 'base64').toString()).toBe('first');
    await post('/v3/lease/revoke', { ID: kvs[0]!['lease'] });
    await Promise.all([lost, other]);
  });
});
