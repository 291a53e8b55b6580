import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CheckpointStoreError } from '../../src/replicated/index.ts';
import { Checkpoints } from '../../src/replicated/checkpoint/checkpoints.ts';
import type { OpenReplica } from '../../src/replicated/node/open-replica.ts';
import { MACHINE_ENVIRONMENT } from '../../src/replicated/node/replica-environment.ts';
import { ReplicaFiles } from '../../src/replicated/node/replica-files.ts';
import {
  CrashFs,
  MemoryCheckpoints,
  openReplicaOn,
  SimulatedLog,
} from '../../src/testing/index.ts';

const { signal } = new AbortController();

test('the places of groups are kept for the backup of a checkpoint, not for its upload', async () => {
  const fs = new CrashFs({ trace: false });
  await fs.makeDirectory('/node');
  const store = new MemoryCheckpoints();
  const steps: string[] = [];
  const put = store.put.bind(store);
  store.put = (name, source) => {
    steps.push('put');
    return put(name, source);
  };
  const place = { logId: new Uint8Array(16), position: 2n, sequence: 1n, epoch: 1n, checksum: 5 };
  const backup = async (target: string) => {
    steps.push('backup');
    await fs.makeDirectory(target);
    await (await fs.open(join(target, 'data'), 'wx')).close();
    return { lastSequence: 1n };
  };
  const replica = {
    directory: '/node',
    nodeId: new Uint8Array(16),
    store: { backup },
    withMarks: async (work: (placeAt: () => typeof place) => Promise<unknown>) => {
      const result = await work(() => place);
      steps.push('forget');
      return result;
    },
  };
  const files = new ReplicaFiles({
    environment: { ...MACHINE_ENVIRONMENT, fileSystem: fs },
    directory: '/node',
    storeOptions: {},
    log: new SimulatedLog().connect(),
    checkpoints: new Checkpoints(store, fs),
  });
  const written = await files.checkpoint(replica as unknown as OpenReplica, signal);
  expect(written.position).toBe(2n);
  expect(steps).toEqual(['backup', 'forget', 'put']);
});

test('a log does not share a checkpoint store with another', async () => {
  const store = new MemoryCheckpoints();
  const open = (log: SimulatedLog, seed: number) => {
    const options = { log: log.connect(), checkpoints: store.connect(), pollMs: 60_000 };
    return openReplicaOn(new CrashFs({ trace: false }), '/node', options, { seed });
  };
  const other = new SimulatedLog();
  await using node = await open(other, 801);
  await using first = await open(new SimulatedLog(), 802);
  await first.promote();
  for (const key of [1n, 2n, 3n]) {
    await first.put(key, 1n);
    await first.checkpoint();
  }
  const before = [...store.objects.keys()];
  await node.promote();
  await node.put(1n, 1n);
  await expect(node.checkpoint()).rejects.toThrow(/of another log: each log needs a/);
  await expect(node.trim()).rejects.toMatchObject({ name: 'CheckpointStoreError' });
  expect([...store.objects.keys()]).toEqual(before);
  expect([other.bounds.first, node.stats().replica.checkpoints.written]).toEqual([1n, 0]);
});

test('a checkpoint store that cannot be listed counts as failing, and the engine does not', async () => {
  const checkpoints = new MemoryCheckpoints();
  const log = new SimulatedLog().connect();
  const options = { log, checkpoints, checkpointEveryMs: 5 };
  await using store = await openReplicaOn(new CrashFs(), '/node', options, { seed: 803 });
  checkpoints.list = async function* (prefix) {
    if (prefix !== '') throw new CheckpointStoreError('unavailable', 'the bucket is away');
    yield* [];
  };
  await expect.poll(() => store.stats().replica.checkpoints.failed).toBeGreaterThan(1);
  expect(store.stats().replica.engineFailures).toBe(0);
});
