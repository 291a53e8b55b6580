import { expect, test } from 'vitest';
import { UnfitEngineError, type ShardMap, type ShardRouting } from '../../src/replicated/index.ts';
import { newShardMap } from '../../src/replicated/shards/shard-map.ts';
import { decodeShardMap, encodeShardMap } from '../../src/replicated/shards/shard-map-format.ts';
import { CrashFs, openShardsOn, SimulatedShardMap } from '../../src/testing/index.ts';

const NONCE = 'f'.repeat(24);
const MAX_BYTES = 64 * 1024;
const SHARDS = 1_024;

const starts = Array.from({ length: SHARDS }, (_, shard) => BigInt(shard) * 2n ** 54n);
const routings: ShardRouting[] = [{ kind: 'hash' }, { kind: 'range', starts }];

test.for(routings)('a map of the most shards fits while all of them move, by $kind', (routing) => {
  const nodes = Array.from({ length: 10 }, (_, i) => `http://node-${i}`.padEnd(60, '.'));
  const { shards } = newShardMap(routing, SHARDS, nodes, 3);
  const moving: ShardMap = {
    routing,
    shards: shards.map(({ replicas }, shard) => {
      const wanted = nodes[(shard + 3) % 10]!;
      return { primary: replicas[0], epoch: 12_345n, replicas: [...replicas, wanted], wanted };
    }),
  };
  const bytes = encodeShardMap(moving, NONCE);
  expect(bytes.length).toBeLessThanOrEqual(MAX_BYTES);
  expect(decodeShardMap(bytes)).toEqual({ map: moving, nonce: NONCE });
});

test('a shard without a primary, and a wanted node, is read as it was written', () => {
  const shards = [
    { primary: undefined, epoch: 0n, replicas: ['a', 'b'], wanted: 'a' },
    { primary: 'b', epoch: 2n ** 63n, replicas: [], wanted: undefined },
  ];
  const map: ShardMap = { routing: { kind: 'hash' }, shards };
  expect(decodeShardMap(encodeShardMap(map, NONCE)).map).toEqual(map);
});

const bytesOf = (map: object): Uint8Array => new TextEncoder().encode(JSON.stringify(map));

test('a map of format 1 is read', () => {
  const old = {
    format: 1,
    nonce: NONCE,
    routing: { kind: 'range', starts: ['0', '5'] },
    shards: [
      { primary: 'a', replicas: ['a', 'b'], wanted: 'b', epoch: '3' },
      { replicas: ['b'], epoch: '0' },
    ],
  };
  expect(decodeShardMap(bytesOf(old))).toEqual({
    map: {
      routing: { kind: 'range', starts: [0n, 5n] },
      shards: [
        { primary: 'a', epoch: 3n, replicas: ['a', 'b'], wanted: 'b' },
        { primary: undefined, epoch: 0n, replicas: ['b'], wanted: undefined },
      ],
    },
    nonce: NONCE,
  });
});

test('a map of a later format is refused', () => {
  expect(() => decodeShardMap(bytesOf({ format: 3, nodes: [], shards: [] }))).toThrow(
    new UnfitEngineError('shard map', 'the shard map has format 3, not 1 or 2'),
  );
});

test('a map that may outgrow the engine is not created', async () => {
  const nodes = Array.from({ length: 64 }, (_, i) => `node-${i}`);
  const options = {
    map: new SimulatedShardMap().connect(),
    connect: (): never => expect.fail('no shard is opened'),
    address: 'node-0',
    create: { shards: SHARDS, copies: 64, nodes },
  };
  const opening = openShardsOn(new CrashFs({ trace: false }), '/shards', options, { seed: 1 });
  await expect(opening).rejects.toThrow(/describes a map of up to \d+ bytes.*at most 65536: use/);
});

test('the simulated engine refuses what an engine refuses', async () => {
  const store = new SimulatedShardMap().connect();
  const replacing = store.replace(0n, new Uint8Array(MAX_BYTES + 1));
  await expect(replacing).rejects.toThrow(RangeError);
  expect(await store.replace(0n, new Uint8Array(MAX_BYTES))).toBe('replaced');
});
