import { afterEach, expect, test } from 'vitest';
import { LogLostError, type ReplicatedStore, type SharedLog } from '../../src/replicated/index.ts';
import {
  CrashFs,
  MemoryCheckpoints,
  openReplicaOn,
  repairReplicaOn,
  SimulatedLog,
} from '../../src/testing/index.ts';

const opened: ReplicatedStore[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
});

let seed = 100;

async function openNode(
  log: SimulatedLog,
  fs: CrashFs,
  checkpoints?: MemoryCheckpoints,
): Promise<ReplicatedStore> {
  const options = { log: log.connect(), pollMs: 5, lostAfterMs: 50, checkpoints };
  const store = await openReplicaOn(fs, '/node', options, { seed: ++seed });
  opened.push(store);
  return store;
}

/** A node with three batches whose log then loses the last two. */
async function loseTwo(before: (store: ReplicatedStore) => Promise<void>) {
  const log = new SimulatedLog();
  const fs = new CrashFs();
  const store = await openNode(log, fs);
  await store.promote();
  for (const key of [1n, 2n, 3n]) await store.put(key, 1n);
  await before(store);
  await store.close();
  log.lose(2n);
  return { log, fs };
}

async function growOtherwise(log: SimulatedLog): Promise<void> {
  const other = await openNode(log, new CrashFs());
  await other.promote();
  for (const key of [11n, 3n, 13n, 14n]) await other.put(key, 1n);
}

const LOST = { code: 'LODESTORE_LOG_LOST' };

test("a log that ends before a store's state is not followed", async () => {
  const { log, fs } = await loseTwo(async () => undefined);
  await expect(openNode(log, fs)).rejects.toMatchObject(LOST);
});

test('a log that lost entries and grew past a store is not followed', async () => {
  const { log, fs } = await loseTwo(async () => undefined);
  await growOtherwise(log);
  await expect(openNode(log, fs)).rejects.toMatchObject(LOST);
});

test('such a log is not followed after a merge, when only the place can be compared', async () => {
  const { log, fs } = await loseTwo((store) => store.merge());
  await growOtherwise(log);
  await expect(
    openNode(log, fs).then((store) => store.reached(log.bounds.last)),
  ).rejects.toMatchObject(LOST);
});

test('a primary whose log is lost commits nothing', async () => {
  const log = new SimulatedLog();
  const store = await openNode(log, new CrashFs());
  await store.promote();
  for (const key of [1n, 2n, 3n]) await store.put(key, 1n);
  log.lose(2n);
  await expect(store.put(4n, 1n)).rejects.toMatchObject({ outcome: 'unknown' });
  await expect(store.put(5n, 1n)).rejects.toMatchObject({ ...LOST, outcome: 'not-applied' });
  expect(store.stats().replica.failure).toMatchObject(LOST);
  expect(store.has(3n)).toBe(true);
});

test('a repair continues the log with the lost batches', async () => {
  const { log, fs } = await loseTwo(async () => undefined);
  const checkpoints = new MemoryCheckpoints();
  const behind = await openNode(log, new CrashFs(), checkpoints);
  await behind.reached(2n);
  const options = { log: log.connect(), checkpoints: checkpoints.connect(), lostAfterMs: 50 };
  const report = await repairReplicaOn(fs, '/node', options, { seed: 1 });
  expect(report).toMatchObject({ position: 3n, sequence: 3n, restoredBatches: 2n });
  await behind.reached(3n);
  const ahead = await openNode(log, fs, checkpoints);
  await ahead.promote();
  await ahead.put(4n, 1n);
  await behind.reached(ahead.position);
  for (const store of [behind, ahead]) expect([...store.keys()]).toEqual([1n, 2n, 3n, 4n]);
});

test('a log that has something that the store lacks is not repaired', async () => {
  const { log, fs } = await loseTwo(async () => undefined);
  await growOtherwise(log);
  const checkpoints = new MemoryCheckpoints();
  const options = { log: log.connect(), checkpoints, lostAfterMs: 50 };
  const last = log.bounds.last;
  await expect(repairReplicaOn(fs, '/node', options, { seed: 1 })).rejects.toMatchObject(LOST);
  expect(log.bounds.last).toBe(last);
});

test('a node that appends during a repair is not reported as a loss', async () => {
  const { log, fs } = await loseTwo(async () => undefined);
  const rival = await openNode(log, new CrashFs());
  const connection = log.connect();
  const overtaken: SharedLog = {
    maxEntryBytes: connection.maxEntryBytes,
    append: async (...given) => {
      await rival.promote();
      return connection.append(...given);
    },
    read: (...given) => connection.read(...given),
    bounds: (...given) => connection.bounds(...given),
    trim: (...given) => connection.trim(...given),
    close: () => connection.close(),
  };
  const options = { log: overtaken, checkpoints: new MemoryCheckpoints(), lostAfterMs: 50 };
  await expect(repairReplicaOn(fs, '/node', options, { seed: 1 })).rejects.toMatchObject({
    code: 'LODESTORE_NOT_PRIMARY',
    message: expect.stringContaining('stop it and repair again') as unknown,
  });
});

test('an error names the position, then what was found there', () => {
  const { message } = new LogLostError({ position: 7n, reason: 'the log ends at 5' });
  expect(message).toMatch(/applied: position 7: the log ends at 5$/);
});
