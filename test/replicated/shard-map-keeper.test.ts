import { expect, test } from 'vitest';
import { MACHINE_ENVIRONMENT } from '../../src/replicated/node/replica-environment.ts';
import { newShardMap, type ShardEntry } from '../../src/replicated/shards/shard-map.ts';
import { ShardMapKeeper } from '../../src/replicated/shards/shard-map-keeper.ts';
import type { ShardMapStore } from '../../src/replicated/index.ts';
import { SimulatedShardMap } from '../../src/testing/index.ts';

const SHARDS = 40;

/** Keepers of one map, and how often they asked for a replacement. */
async function openKeepers(count: number, lostAnswers = 0, { signal } = new AbortController()) {
  const engine = new SimulatedShardMap(3, lostAnswers);
  const counts = { replacements: 0 };
  const keepers = Array.from({ length: count }, () => {
    const store = engine.connect();
    const counted = {
      read: () => store.read(),
      close: () => store.close(),
      replace: (...given: Parameters<typeof store.replace>) => {
        counts.replacements++;
        return store.replace(...given);
      },
    };
    return new ShardMapKeeper(counted, MACHINE_ENVIRONMENT, signal);
  });
  const create = () => newShardMap({ kind: 'hash' }, SHARDS, ['a', 'b'], 2);
  for (const keeper of keepers) await keeper.open(create);
  counts.replacements = 0;
  return { keepers, counts };
}

const ledBy =
  (primary: string) =>
  (entry: ShardEntry): ShardEntry => ({ ...entry, primary });

test('changes that wait share a replacement', async () => {
  const { keepers, counts } = await openKeepers(1);
  const [keeper] = keepers;
  const updates = Array.from({ length: SHARDS }, (_, i) => keeper!.update(i, ledBy('a')));
  await Promise.all(updates);
  expect(keeper!.map.shards.every(({ primary }) => primary === 'a')).toBe(true);
  expect(counts.replacements).toBeLessThan(4);
  await keeper!.update(3, () => undefined);
  expect(counts.replacements).toBeLessThan(4);
});

test.each([0, 0.3])(
  'nodes that change the map at once lose no change; lost answers: %d',
  async (lost) => {
    const { keepers } = await openKeepers(4, lost);
    const updates = Array.from({ length: SHARDS }, (_, i) =>
      keepers[i % 4]!.update(i, ledBy(`node-${i % 4}`)),
    );
    await Promise.all(updates);
    await keepers[0]!.refresh();
    expect(keepers[0]!.map.shards.map(({ primary }) => primary)).toEqual(
      Array.from({ length: SHARDS }, (_, i) => `node-${i % 4}`),
    );
  },
);

test('a change that is refused fails alone', async () => {
  const { keepers } = await openKeepers(1);
  const [keeper] = keepers;
  const refuse = (): never => {
    throw new TypeError('it is the primary');
  };
  const results = await Promise.allSettled([
    keeper!.update(0, ledBy('a')),
    keeper!.update(1, refuse),
    keeper!.update(2, ledBy('a')),
  ]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(keeper!.map.shards.slice(0, 3).map(({ primary }) => primary)).toEqual([
    'a',
    undefined,
    'a',
  ]);
});

test('the end of the keeper ends all changes that wait, also those that joined others', async () => {
  const ending = new AbortController();
  const { keepers } = await openKeepers(1, 0, ending);
  const updates = [0, 1, 2].map((shard) => keepers[0]!.update(shard, ledBy('a')));
  const reason = new Error('closed');
  ending.abort(reason);
  const results = await Promise.allSettled(updates);
  expect(results).toEqual(results.map(() => ({ status: 'rejected', reason })));
});

/** A keeper of a map of version 4, whose engine is then replaced. */
async function openBeforeRestore() {
  const create = () => newShardMap({ kind: 'hash' }, SHARDS, ['a', 'b'], 2);
  const { signal } = new AbortController();
  let engine = new SimulatedShardMap(3).connect();
  const counts = { calls: 0 };
  const store: ShardMapStore = {
    read: () => {
      counts.calls++;
      return engine.read();
    },
    replace: (...given) => {
      counts.calls++;
      return engine.replace(...given);
    },
    close: () => engine.close(),
  };
  const keeper = new ShardMapKeeper(store, MACHINE_ENVIRONMENT, signal);
  await keeper.open(create);
  for (const shard of [0, 1, 2]) await keeper.update(shard, ledBy('a'));
  /** The engine is restored from a backup of the map in its first version, or of none. */
  const restore = async (has: 'an older map' | 'no map'): Promise<void> => {
    engine = new SimulatedShardMap(4).connect();
    if (has === 'no map') return;
    await new ShardMapKeeper(engine, MACHINE_ENVIRONMENT, signal).open(create);
  };
  return { keeper, counts, restore, version: async () => (await engine.read())?.version };
}

test.for([
  { has: 'an older map', version: 2n, primary: undefined },
  { has: 'no map', version: 1n, primary: 'a' },
] as const)('a change is made in an engine that was restored to $has', async (given) => {
  const { keeper, counts, restore, version } = await openBeforeRestore();
  await restore(given.has);
  counts.calls = 0;
  await keeper.update(3, ledBy('b'));
  expect(counts.calls).toBeLessThan(10);
  expect(await version()).toBe(given.version);
  expect(keeper.map.shards[3]!.primary).toBe('b');
  expect(keeper.map.shards[0]!.primary).toBe(given.primary);
});

test('a node that changes nothing follows a restored engine after several reads', async () => {
  const { keeper, restore } = await openBeforeRestore();
  await restore('an older map');
  for (let read = 0; read < 9; read++) await keeper.refresh();
  expect(keeper.map.shards[0]!.primary).toBe('a');
  await keeper.refresh();
  expect(keeper.map.shards[0]!.primary).toBeUndefined();
});
