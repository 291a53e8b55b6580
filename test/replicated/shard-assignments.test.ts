import { expect, test } from 'vitest';
import { MACHINE_ENVIRONMENT } from '../../src/replicated/node/replica-environment.ts';
import { clockOf } from '../../src/replicated/node/replica-clock.ts';
import { ShardAssignments } from '../../src/replicated/shards/shard-assignments.ts';
import { ShardMapKeeper } from '../../src/replicated/shards/shard-map-keeper.ts';
import { newShardMap, type ShardEntry } from '../../src/replicated/shards/shard-map.ts';
import { SimulatedShardMap } from '../../src/testing/index.ts';

/** One shard on node `a`, and timers that ring when the test says so. */
async function oneShard() {
  const timers: (() => void)[] = [];
  const clock = clockOf((_, ring) => {
    timers.push(ring);
    return () => undefined;
  });
  const { signal } = new AbortController();
  const environment = { ...MACHINE_ENVIRONMENT, clock };
  const keeper = new ShardMapKeeper(new SimulatedShardMap().connect(), environment, signal);
  await keeper.open(() => newShardMap({ kind: 'hash' }, 1, ['a'], 1));
  const change = (to: Partial<ShardEntry>): Promise<void> =>
    keeper.update(0, (entry) => ({ ...entry, ...to }));
  await change({ primary: 'a', wanted: undefined });
  const assignments = new ShardAssignments({ keeper, clock, refreshMs: 5, signal });
  /** Rings what waits, and lets all that follows from it happen. */
  const ring = async (): Promise<number> => {
    const due = timers.splice(0);
    for (const one of due) one();
    await new Promise((go) => setImmediate(go));
    return due.length;
  };
  return { assignments, change, ring, entry: () => keeper.map.shards[0]! };
}

test('the old node is removed when the new one has taken over', async () => {
  const { assignments, change, ring, entry } = await oneShard();
  await assignments.move(0, 'b', 'a');
  expect(await ring()).toBe(1);
  expect(entry()).toMatchObject({ primary: 'a', replicas: ['a', 'b'], wanted: 'b' });
  await change({ primary: 'b', wanted: undefined });
  await ring();
  expect(entry()).toMatchObject({ primary: 'b', replicas: ['b'], wanted: undefined });
});

test('an earlier move does not remove the node that a later one wants', async () => {
  const { assignments, change, ring, entry } = await oneShard();
  await assignments.move(0, 'b', 'a');
  // The node b takes over, and the shard is wanted back before the first move looks again.
  await change({ primary: 'b', wanted: undefined });
  await assignments.move(0, 'a');
  await ring();
  expect(entry()).toMatchObject({ primary: 'b', replicas: ['a', 'b'], wanted: 'a' });
});

test('a move that another one replaced ends', async () => {
  const { assignments, ring, entry } = await oneShard();
  await assignments.move(0, 'b', 'a');
  await assignments.move(0, 'c');
  await ring();
  expect(await ring()).toBe(0);
  expect(entry()).toMatchObject({ replicas: ['a', 'b', 'c'], wanted: 'c' });
});
