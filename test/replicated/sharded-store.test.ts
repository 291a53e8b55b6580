import { afterEach, expect, test } from 'vitest';
import {
  NotPrimaryError,
  type ShardedOptions,
  type ShardedStore,
} from '../../src/replicated/index.ts';
import { CrashFs, openShardsOn, SimulatedLog, SimulatedShardMap } from '../../src/testing/index.ts';

const opened: ShardedStore[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
});

class Cluster {
  readonly logs: Map<number, SimulatedLog> = new Map();
  readonly map: SimulatedShardMap;
  readonly nodes: Map<string, ShardedStore> = new Map();
  readonly #create: ShardedOptions['create'];

  constructor(create: ShardedOptions['create'], lostAnswers = 0) {
    this.#create = create;
    this.map = new SimulatedShardMap(7, lostAnswers);
  }

  async open(address: string): Promise<ShardedStore> {
    const store = await openShardsOn(
      new CrashFs({ trace: false }),
      '/shards',
      {
        map: this.map.connect(),
        address,
        refreshMs: 5,
        connect: (shard) => {
          const log = this.logs.get(shard) ?? new SimulatedLog({ seed: shard + 1 });
          this.logs.set(shard, log);
          return { log: log.connect() };
        },
        ...(this.#create && { create: this.#create }),
      },
      { seed: this.nodes.size + 1 },
    );
    opened.push(store);
    this.nodes.set(address, store);
    return store;
  }

  /** Writes as a client does, following the addresses in errors. */
  async put(key: bigint, value: bigint, at: string): Promise<void> {
    for (let address = at; ;) {
      try {
        await this.nodes.get(address)!.put(key, value);
        return;
      } catch (error) {
        if (!(error instanceof NotPrimaryError)) throw error;
        address = error.address ?? address;
        await new Promise((go) => setImmediate(go));
      }
    }
  }
}

async function until(holds: () => boolean): Promise<void> {
  await expect.poll(holds).toBe(true);
}

const hasPrimaries = (store: ShardedStore) => (): boolean =>
  store.map.shards.every(({ primary }) => primary !== undefined);

test('keys go to their shards, and a wrong node names the right one', async () => {
  const cluster = new Cluster({ shards: 4, nodes: ['a', 'b'], copies: 1 }, 0.3);
  const [a, b] = [await cluster.open('a'), await cluster.open('b')];
  await until(hasPrimaries(a));
  expect([a.openShards, b.openShards]).toEqual([
    [0, 2],
    [1, 3],
  ]);
  for (let key = 0n; key < 40n; key++) await cluster.put(key, key + 1n, 'a');
  const foreign = [1n, 2n, 3n, 4n, 5n].find((key) => a.shardOf(key) % 2 === 1)!;
  expect(() => a.get(foreign)).toThrow(NotPrimaryError);
  expect(b.get(foreign)?.value).toBe(foreign + 1n);
  await expect(a.put(foreign, 1n)).rejects.toMatchObject({ address: 'b', outcome: 'not-applied' });
});

test('a batch across shards is refused', async () => {
  const cluster = new Cluster({
    nodes: ['a'],
    routing: { kind: 'range', starts: [0n, 100n, 200n] },
  });
  const a = await cluster.open('a');
  await until(hasPrimaries(a));
  await a.insertBatch([
    { type: 'put', key: 100n, value: 1n },
    { type: 'put', key: 199n, value: 1n },
  ]);
  const across = a.insertBatch([
    { type: 'put', key: 99n, value: 1n },
    { type: 'put', key: 100n, value: 2n },
  ]);
  await expect(across).rejects.toMatchObject({
    code: 'LODESTORE_ACROSS_SHARDS',
    outcome: 'not-applied',
  });
  expect([a.has(99n), a.valueOf(100n)]).toEqual([false, 1n]);
});

test('a range is deleted within one shard, on its replicas, and after a takeover', async () => {
  const cluster = new Cluster({
    nodes: ['a', 'b'],
    routing: { kind: 'range', starts: [0n, 100n, 200n] },
    copies: 2,
  });
  const [a, b] = [await cluster.open('a'), await cluster.open('b')];
  await until(hasPrimaries(a));
  for (let key = 90n; key < 210n; key += 10n) await cluster.put(key, key, 'a');
  const [owner, other] = a.shard(1).role === 'primary' ? [a, b] : [b, a];
  const replicaHas = async (key: bigint): Promise<boolean> => {
    await other.shard(1).reached(owner.shard(1).position);
    return other.has(key);
  };
  await owner.deleteRange({ gte: 100n, lt: 130n });
  expect([await replicaHas(120n), await replicaHas(130n), other.has(90n)]).toEqual([
    false,
    true,
    true,
  ]);
  for (const range of [{ gte: 99n, lte: 100n }, { gte: 150n }]) {
    const across = owner.insertBatch([
      { type: 'put', key: 199n, value: 1n },
      { type: 'deleteRange', ...range },
    ]);
    await expect(across).rejects.toMatchObject({
      name: 'AcrossShardsError',
      code: 'LODESTORE_ACROSS_SHARDS',
      outcome: 'not-applied',
    });
  }
  expect(owner.has(199n)).toBe(false);
  await a.move(1, other.map.shards[1]!.primary === 'a' ? 'b' : 'a');
  await until(() => other.shard(1).role === 'primary');
  expect(other.has(120n)).toBe(false);
  await other.deleteRange({ gte: 140n, lt: 200n });
  await owner.shard(1).reached(other.shard(1).position);
  for (const node of [a, b]) {
    expect([...node.entries()].map(([key]) => key)).toEqual([90n, 130n, 200n]);
  }
});

test('with routing by hash a range of several keys is refused', async () => {
  const cluster = new Cluster({ shards: 4, nodes: ['a'] });
  const a = await cluster.open('a');
  await until(hasPrimaries(a));
  await a.put(5n, 1n);
  // Keys of one shard do not make a range of it.
  const sibling = [6n, 7n, 8n, 9n, 10n, 11n, 12n, 13n, 14n].find(
    (key) => a.shardOf(key) === a.shardOf(5n),
  )!;
  await expect(a.deleteRange({ gte: 5n, lte: sibling })).rejects.toMatchObject({
    name: 'AcrossShardsError',
    outcome: 'not-applied',
  });
  expect(a.has(5n)).toBe(true);
  await a.deleteRange({ gte: 5n, lte: 5n });
  expect(a.has(5n)).toBe(false);
  await expect(a.deleteRange({ gte: -1n })).rejects.toMatchObject({ outcome: 'not-applied' });
});

test('iterators merge the shards', async () => {
  const cluster = new Cluster({ shards: 8, nodes: ['a'] });
  const a = await cluster.open('a');
  await until(hasPrimaries(a));
  const keys = Array.from({ length: 100 }, (_, i) => BigInt((i * 7919) % 1_000));
  for (const key of keys) await a.put(key, 1n);
  const sorted = [...new Set(keys)].sort((x, y) => Number(x - y));
  expect([...a.entries()].map(([key]) => key)).toEqual(sorted);
  const last = [...a.entries({ reverse: true, limit: 5 })].map(([key]) => key);
  expect(last).toEqual(sorted.toReversed().slice(0, 5));
});

test('a shard accepts writes while it moves', async () => {
  const cluster = new Cluster({ shards: 2, nodes: ['a'] });
  const a = await cluster.open('a');
  const b = await cluster.open('b');
  await until(hasPrimaries(a));
  const moved = new AbortController();
  let written = 0n;
  const writing = (async () => {
    while (!moved.signal.aborted || written < 50n) {
      await cluster.put(written, written + 1n, 'a');
      written++;
      // The simulated engine answers without a turn of the event loop, but timers need one.
      await new Promise((go) => setImmediate(go));
    }
  })();
  await a.move(1, 'b', 'a');
  await until(() => b.map.shards[1]!.primary === 'b' && !a.openShards.includes(1));
  moved.abort();
  await writing;
  expect([a.openShards, b.openShards]).toEqual([[0], [1]]);
  for (let key = 0n; key < written; key++) {
    const owner = b.shardOf(key) === 1 ? b : a;
    expect(owner.valueOf(key)).toBe(key + 1n);
  }
});

test('a node that is wanted for a shard, or is its primary, is not removed', async () => {
  const cluster = new Cluster({ shards: 1, nodes: ['a'] });
  const a = await cluster.open('a');
  await until(hasPrimaries(a));
  await expect(a.remove(0, 'a')).rejects.toThrow('a is the primary of shard 0; move it first');
  await a.move(0, 'b');
  await expect(a.remove(0, 'b')).rejects.toThrow('shard 0 is moving to b; move it elsewhere first');
  await a.move(0, 'c');
  await a.remove(0, 'b');
  expect(a.map.shards[0]).toMatchObject({ replicas: ['a', 'c'], wanted: 'c' });
});

test.for([-1, 1, 0.5, Number.NaN])('the map has no shard %s', async (shard) => {
  const cluster = new Cluster({ shards: 1, nodes: ['a'] });
  const a = await cluster.open('a');
  const message = 'shard must be an integer from 0 to 0';
  await expect(a.move(shard, 'b')).rejects.toThrow(message);
  await expect(a.remove(shard, 'b')).rejects.toThrow(message);
  expect(() => a.shard(shard)).toThrow(message);
  await expect(a.move(0, '')).rejects.toThrow('to must be an address');
});

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((go) => setImmediate(go));
};

test.for([
  { moment: 'before', isLate: false },
  { moment: 'while shards are opened', isLate: true },
])('an open that is aborted $moment leaves no shard open', async ({ isLate }) => {
  const fs = new CrashFs({ trace: false });
  const map = new SimulatedShardMap(7);
  const logs = [new SimulatedLog(), new SimulatedLog()];
  const opening = new AbortController();
  let connections = 0;
  const open = (
    connect: ShardedOptions['connect'],
    signal?: AbortSignal,
  ): Promise<ShardedStore> => {
    const create = { shards: 2, nodes: ['a'] };
    const options = { map: map.connect(), address: 'a', refreshMs: 5, connect, create };
    return openShardsOn(fs, '/shards', { ...options, ...(signal && { signal }) }, { seed: 1 });
  };
  const aborting = async (shard: number) => {
    connections++;
    if (shard === 1) {
      // The other shard is open then.
      await turns(50);
      opening.abort(new Error('changed my mind'));
    }
    return { log: logs[shard]!.connect() };
  };
  if (!isLate) opening.abort(new Error('changed my mind'));
  await expect(open(aborting, opening.signal)).rejects.toMatchObject({
    code: 'LODESTORE_ABORTED',
    cause: { message: 'changed my mind' },
  });
  expect(connections).toBe(isLate ? 2 : 0);
  // It finds the locks of all shards free.
  const store = await open((shard) => ({ log: logs[shard]!.connect() }));
  opened.push(store);
  expect([store.openShards, [...store.failures]]).toEqual([[0, 1], []]);
});
