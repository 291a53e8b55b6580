import { afterEach, expect, test } from 'vitest';
import {
  LogUnavailableError,
  UnfitEngineError,
  type Elector,
  type ShardedOptions,
  type ShardedStore,
  type ShardMapStore,
} from '../../src/replicated/index.ts';
import { CrashFs, openShardsOn, SimulatedLog, SimulatedShardMap } from '../../src/testing/index.ts';

const opened: ShardedStore[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
});

let seed = 40;

async function until(holds: () => boolean): Promise<void> {
  await expect.poll(holds).toBe(true);
}

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((go) => setImmediate(go));
};

/** The engine of a cluster of nodes, and their disks. */
class Cluster {
  readonly logs: readonly SimulatedLog[];
  readonly #map: SimulatedShardMap = new SimulatedShardMap(7);
  readonly #create: ShardedOptions['create'];
  readonly #disks: Map<string, CrashFs> = new Map();

  constructor(create: { readonly shards: number; readonly nodes: readonly string[] }) {
    this.#create = { copies: create.nodes.length, ...create };
    this.logs = Array.from({ length: create.shards }, (_, i) => new SimulatedLog({ seed: i + 1 }));
  }

  connectMap(): ShardMapStore {
    return this.#map.connect();
  }

  async open(address: string, given: Partial<ShardedOptions> = {}): Promise<ShardedStore> {
    const fs = this.#disks.get(address) ?? new CrashFs({ trace: false });
    this.#disks.set(address, fs);
    const connect = (shard: number) => ({ log: this.logs[shard]!.connect() });
    const map = this.connectMap();
    const options = { map, connect, refreshMs: 5, address, create: this.#create!, ...given };
    const store = await openShardsOn(fs, '/shards', options, { seed: ++seed });
    opened.push(store);
    return store;
  }

  /** As a connection to an engine that does not answer. */
  connectCut(shard: number) {
    const log = this.logs[shard]!.connect();
    log.cut();
    return { log };
  }
}

/** A cluster of one node, each of whose shards has a batch. The node is closed. */
async function clusterOf(shards: number): Promise<Cluster> {
  const cluster = new Cluster({ shards, nodes: ['a'] });
  const store = await cluster.open('a');
  await until(() => store.map.shards.every(({ primary }) => primary !== undefined));
  for (let shard = 0; shard < shards; shard++) await store.shard(shard).put(1n, 1n);
  await store.close();
  return cluster;
}

test('shards whose engine does not answer keep neither an open nor other shards waiting', async () => {
  const cluster = await clusterOf(17);
  const a = await cluster.open('a', {
    connect: (shard) =>
      shard < 16 ? cluster.connectCut(shard) : { log: cluster.logs[shard]!.connect() },
    commitTimeoutMs: 50,
  });
  await until(() => a.openShards.includes(16));
  expect([a.openShards, [...a.failures]]).toEqual([[16], []]);
  await a.move(16, 'a');
  await until(() => a.shard(16).role === 'primary');
});

test('no shard is elected before the open of the store has resolved', async () => {
  const cluster = await clusterOf(2);
  let campaigns = 0;
  const elector: Elector = {
    campaign: async () => {
      campaigns++;
      return { lost: new Promise<void>(() => undefined) };
    },
  };
  const opening = cluster.open('a', {
    connect: (shard) =>
      shard === 0
        ? { ...cluster.connectCut(shard), elector }
        : { log: cluster.logs[shard]!.connect(), elector },
    commitTimeoutMs: 500,
  });
  await turns(50);
  expect(campaigns).toBe(0);
  const a = await opening;
  await until(() => a.openShards.includes(1) && a.shard(1).role === 'primary');
  expect([a.openShards, campaigns]).toEqual([[1], 1]);
});

test('a node that the map does not want any more does not take over', async () => {
  const cluster = new Cluster({ shards: 1, nodes: ['a', 'b'] });
  const [log] = cluster.logs;
  const connection = log!.connect();
  const a = await cluster.open('a');
  const b = await cluster.open('b', { connect: () => ({ log: connection }) });
  await until(() => a.map.shards[0]!.primary === 'a');
  await b.shard(0).reached(1n);
  connection.cut();
  await a.move(0, 'b');
  await until(() => b.shard(0).role === 'candidate');
  await a.move(0, 'a');
  await until(() => b.map.shards[0]!.wanted === undefined);
  connection.heal();
  await until(() => b.shard(0).role === 'replica');
  expect([a.shard(0).role, log!.bounds.last]).toEqual(['primary', 1n]);
});

test('a refusal names a replica of a shard that no node has taken over yet', async () => {
  const cluster = new Cluster({ shards: 1, nodes: ['a'] });
  const b = await cluster.open('b');
  await expect(b.put(1n, 1n)).rejects.toMatchObject({ name: 'NotPrimaryError', address: 'a' });
});

test('a node that was restarted names the primary of the map', async () => {
  const cluster = new Cluster({ shards: 1, nodes: ['a', 'b'] });
  const a = await cluster.open('a');
  const b = await cluster.open('b');
  await until(() => a.map.shards[0]!.primary === 'a');
  await a.put(1n, 1n);
  await b.shard(0).reached(a.shard(0).position);
  // The saved place is then after the takeover.
  await b.shard(0).merge();
  await b.close();
  const again = await cluster.open('b');
  expect(again.shard(0).primaryAddress).toBeUndefined();
  await expect(again.put(1n, 1n)).rejects.toMatchObject({
    code: 'LODESTORE_NOT_PRIMARY',
    address: 'a',
    outcome: 'not-applied',
  });
});

test('shards are opened while the engine of the map is away, and an unfit map is told', async () => {
  const cluster = await clusterOf(1);
  const map = cluster.connectMap();
  let failure: Error | undefined;
  const store: ShardMapStore = {
    read: () => (failure === undefined ? map.read() : Promise.reject(failure)),
    replace: (...given) => map.replace(...given),
    close: () => map.close(),
  };
  let connects = 0;
  const connect = (shard: number) => {
    if (++connects < 4) throw new LogUnavailableError('the engine of the shard is away');
    return { log: cluster.logs[shard]!.connect() };
  };
  const a = await cluster.open('a', { map: store, connect });
  failure = new LogUnavailableError('the engine of the map is away');
  expect(a.openShards).toEqual([]);
  await until(() => a.openShards.length === 1);
  expect(a.mapFailure).toBeUndefined();
  failure = new UnfitEngineError('shard map', 'another program has written it');
  await expect.poll(() => a.mapFailure).toBe(failure);
  failure = undefined;
  await expect.poll(() => a.mapFailure).toBeUndefined();
});
