import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { MACHINE_CLOCK } from '../../src/replicated/node/replica-clock.ts';
import type { ReplicatedOptions, ShardedOptions } from '../../src/replicated/index.ts';
import {
  CrashFs,
  MemoryCheckpoints,
  openReplicaOn,
  openShardsOn,
  repairReplicaOn,
  SimulatedLog,
  SimulatedShardMap,
} from '../../src/testing/index.ts';

const fs = new CrashFs({ trace: false });

test('a part of a replicated store that is none is named before a file is made', async () => {
  const log = new SimulatedLog({ seed: 1 }).connect();
  const wrong: [object, string][] = [
    [{ log: {} }, 'options.log must be a SharedLog'],
    [{ log, elector: 'etcd' }, 'options.elector must be an Elector'],
    [{ log, elector: null }, 'options.elector must be an Elector'],
    [{ log, checkpoints: '/checkpoints' }, 'options.checkpoints must be a CheckpointStore'],
  ];
  for (const [options, message] of wrong) {
    const opening = openReplicaOn(fs, '/replica', options as ReplicatedOptions, { seed: 1 });
    await expect(opening, message).rejects.toThrow(new TypeError(message));
  }
  await expect(fs.stat('/replica')).rejects.toMatchObject({ code: 'ENOENT' });
});

test('wrong options close the log and the checkpoint store that came with them', async () => {
  const closed: string[] = [];
  const log = new SimulatedLog({ seed: 1 }).connect();
  log.close = () => Promise.reject(new Error(`log ${closed.push('log')}`));
  const checkpoints = new MemoryCheckpoints();
  checkpoints.close = async () => void closed.push('checkpoints');
  const options = { log, checkpoints, pollMs: 0 };
  await expect(openReplicaOn(fs, '/replica', options, { seed: 1 })).rejects.toThrow(RangeError);
  await expect(repairReplicaOn(fs, '/replica', options, { seed: 1 })).rejects.toThrow(RangeError);
  expect(closed).toEqual(['log', 'checkpoints', 'log', 'checkpoints']);
});

test('a part of a sharded store that is none is named before a file is made', async () => {
  const map = new SimulatedShardMap(1).connect();
  const connect = (): never => expect.fail('no shard is opened');
  const one = { map, connect, address: 'a' };
  const wrong: [object, Error][] = [
    [{ ...one, map: {} }, new TypeError('options.map must be a ShardMapStore')],
    [{ ...one, signal: {} }, new TypeError('options.signal must be an AbortSignal')],
    [
      { ...one, create: { nodes: 'a' } },
      new TypeError('options.create.nodes must be an array of strings'),
    ],
    [
      { ...one, create: { nodes: ['a', ''] } },
      new RangeError('options.create.nodes must not be empty, nor may an address be'),
    ],
  ];
  for (const [options, error] of wrong) {
    const opening = openShardsOn(fs, '/shards', options as ShardedOptions, { seed: 1 });
    await expect(opening, error.message).rejects.toThrow(error);
  }
  await expect(fs.stat('/shards')).rejects.toMatchObject({ code: 'ENOENT' });
});

test('the longest time between checkpoints does not overflow the timer', async () => {
  const delays: number[] = [];
  const timer = (delayMs: number, ring: () => void): (() => void) => {
    delays.push(delayMs);
    const started = setTimeout(ring, delayMs);
    return () => clearTimeout(started);
  };
  const checkpointEveryMs = 2 ** 31 - 1;
  const log = new SimulatedLog({ seed: 1 }).connect();
  const options = { log, checkpoints: new MemoryCheckpoints(), checkpointEveryMs };
  const disk = new CrashFs({ trace: false });
  const store = await openReplicaOn(disk, '/replica', options, { seed: 1, timer });
  await store.close();
  expect(Math.max(...delays)).toBe(checkpointEveryMs);
});

test('opens and waits that share a signal add one listener to it', async () => {
  const opening = new AbortController();
  const { signal } = opening;
  const count = (): number => getEventListeners(signal, 'abort').length;
  const opens = Array.from({ length: 12 }, (_, seed) => {
    const log = new SimulatedLog({ seed: 1 }).connect();
    return openReplicaOn(new CrashFs({ trace: false }), '/replica', { log, signal }, { seed });
  });
  // Node.js warns of a leak above ten.
  expect(count()).toBe(1);
  for (const store of await Promise.all(opens)) await store.close();
  expect(count()).toBe(0);
  const sleeps = Array.from({ length: 12 }, () => MACHINE_CLOCK.sleep(60_000, signal));
  expect(count()).toBe(1);
  opening.abort(new Error('over'));
  for (const result of await Promise.allSettled(sleeps)) {
    expect(result).toMatchObject({ status: 'rejected', reason: { message: 'over' } });
  }
  expect(count()).toBe(0);
});
