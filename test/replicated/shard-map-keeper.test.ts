import { expect, test } from 'vitest';
import { MACHINE_ENVIRONMENT } from '../../src/replicated/node/replica-environment.ts';
import { newShardMap, type ShardEntry } from '../../src/replicated/shards/shard-map.ts';
import { ShardMapKeeper } from '../../src/replicated/shards/shard-map-keeper.ts';
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
