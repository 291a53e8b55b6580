import { afterEach, expect, test } from 'vitest';
import {
  LogLostError,
  type RepairReport,
  type ReplicatedStore,
  type SharedLog,
} from '../../src/replicated/index.ts';
import { examineNode, type NodeStanding } from '../../src/replicated/node/node-examination.ts';
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

async function growOtherwise(log: SimulatedLog, keys = [11n, 3n, 13n, 14n]): Promise<void> {
  const other = await openNode(log, new CrashFs());
  await other.promote();
  for (const key of keys) await other.put(key, 1n);
}

async function repair(
  log: SimulatedLog,
  fs: CrashFs,
  checkpoints = new MemoryCheckpoints(),
): Promise<RepairReport> {
  const options = { log: log.connect(), checkpoints: checkpoints.connect(), lostAfterMs: 50 };
  return repairReplicaOn(fs, '/node', options, { seed: ++seed });
}

/** What the doctor would say of the node. */
async function standing(log: SimulatedLog, fs: CrashFs): Promise<NodeStanding> {
  const { signal } = new AbortController();
  return examineNode(fs, '/node', log.connect(), { signal, patienceMs: 50 });
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

test('a node that appends during a repair is not reported as a loss, and loses no checkpoint', async () => {
  const [log, fs, checkpoints] = [new SimulatedLog(), new CrashFs(), new MemoryCheckpoints()];
  const store = await openNode(log, fs, checkpoints.connect());
  await store.promote();
  for (const key of [1n, 2n, 3n]) await store.put(key, 1n);
  await store.checkpoint();
  await store.close();
  log.lose(2n);
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
  const before = [...checkpoints.objects.keys()];
  const options = { log: overtaken, checkpoints: checkpoints.connect(), lostAfterMs: 50 };
  await expect(repairReplicaOn(fs, '/node', options, { seed: 1 })).rejects.toMatchObject({
    code: 'LODESTORE_NOT_PRIMARY',
    message: expect.stringContaining('stop it and repair again') as unknown,
  });
  expect([...checkpoints.objects.keys()]).toEqual(before);
});

test('an error names the position, then what was found there', () => {
  const { message } = new LogLostError({ position: 7n, reason: 'the log ends at 5' });
  expect(message).toMatch(/applied: position 7: the log ends at 5$/);
});

test('a log that lost entries and grew to the same length is neither followed nor continued', async () => {
  const { log, fs } = await loseTwo((store) => store.merge());
  // Takes part as the log is cut under it.
  const running = await openNode(log, new CrashFs());
  await running.reached(2n);
  await growOtherwise(log, [11n]);
  expect(await standing(log, fs)).toMatchObject({ kind: 'differs', sequence: 3n });
  await expect(openNode(log, fs)).rejects.toMatchObject(LOST);
  await expect(repair(log, fs)).rejects.toMatchObject(LOST);
  await running.promote();
  expect(running.has(11n)).toBe(true);
});

test('a replica whose last entry the log replaced does not take over', async () => {
  const log = new SimulatedLog();
  const [first, second] = [await openNode(log, new CrashFs()), await openNode(log, new CrashFs())];
  await first.promote();
  for (const key of [1n, 2n, 3n]) await first.put(key, 1n);
  await second.reached(first.position);
  await first.close();
  log.lose(2n);
  await growOtherwise(log, [11n]);
  const { last } = log.bounds;
  await expect(second.promote()).rejects.toMatchObject(LOST);
  expect([second.stats().replica.failure, log.bounds.last]).toEqual([
    expect.objectContaining(LOST),
    last,
  ]);
});

test('a shorter log that another node has continued is not repaired', async () => {
  const { log, fs } = await loseTwo((store) => store.merge());
  log.lose(1n);
  await growOtherwise(log, []);
  expect(await standing(log, fs)).toMatchObject({ kind: 'ahead', sequence: 3n, last: 2n });
  await expect(repair(log, fs)).rejects.toMatchObject({
    ...LOST,
    message: expect.stringContaining('another node has continued it') as string,
  });
});

test.for([
  { writer: 'a replica', isPrimary: false, expected: { position: 3n, removedCheckpoints: 2 } },
  // It trims: nothing of the log is left.
  { writer: 'the primary', isPrimary: true, expected: { position: 5n, removedCheckpoints: 1 } },
])('a repair removes the checkpoints of lost entries, by $writer', async (given) => {
  const log = new SimulatedLog();
  const [fs, checkpoints] = [new CrashFs(), new MemoryCheckpoints()];
  const store = await openNode(log, fs, checkpoints.connect());
  const replica = await openNode(log, new CrashFs(), checkpoints.connect());
  await store.promote();
  await store.put(1n, 1n);
  for (const key of [2n, 3n, 4n]) {
    await store.put(key, 1n);
    await replica.reached(store.position);
    await (given.isPrimary ? store : replica).checkpoint();
  }
  await store.close();
  await replica.close();
  log.lose(2n);
  expect(await repair(log, fs, checkpoints)).toMatchObject(given.expected);
  const other = await openNode(log, new CrashFs(), checkpoints.connect());
  const again = await openNode(log, fs, checkpoints.connect());
  await again.promote();
  await again.put(5n, 1n);
  await other.reached(again.position);
  for (const node of [other, again]) expect([...node.keys()]).toEqual([1n, 2n, 3n, 4n, 5n]);
});

test('a checkpoint that has more than the node repairs the log by an empty directory', async () => {
  const log = new SimulatedLog();
  const [behind, checkpoints] = [new CrashFs(), new MemoryCheckpoints()];
  const replica = await openNode(log, behind);
  const store = await openNode(log, new CrashFs(), checkpoints.connect());
  await store.promote();
  await store.put(1n, 1n);
  await replica.reached(2n);
  await replica.close();
  await store.put(2n, 1n);
  await store.checkpoint();
  await store.close();
  log.lose(2n);
  await expect(repair(log, behind, checkpoints)).rejects.toThrow(/repair from an empty directory/);
  const empty = new CrashFs();
  expect(await repair(log, empty, checkpoints)).toMatchObject({ sequence: 2n });
  expect([...(await openNode(log, empty, checkpoints.connect())).keys()]).toEqual([1n, 2n]);
});

/** A node that stopped at position 2 of a log that now begins at 5. */
async function trimPast(checkpoints: MemoryCheckpoints) {
  const log = new SimulatedLog();
  const behind = new CrashFs();
  const replica = await openNode(log, behind);
  const fs = new CrashFs();
  const store = await openNode(log, fs, checkpoints.connect());
  await store.promote();
  await store.put(1n, 1n);
  await replica.reached(2n);
  await replica.close();
  for (const key of [2n, 3n, 4n]) {
    await store.put(key, 1n);
    if (key > 2n) await store.checkpoint();
  }
  expect(log.bounds.first).toBe(5n);
  await store.close();
  return { log, behind, fs };
}

test('a node behind a trimmed log is filled from a checkpoint, or says what to do', async () => {
  const checkpoints = new MemoryCheckpoints();
  const { log, behind } = await trimPast(checkpoints);
  expect(await standing(log, behind)).toEqual({ kind: 'trimmed', position: 0n, first: 5n });
  const without = (await openNode(log, behind)
    .then((store) => store.reached(5n))
    .catch((error: unknown) => error)) as Error;
  expect(without.message).toMatch(
    /it was opened without checkpoints|opened without checkpoints\. Open it with the checkpoints/,
  );
  await opened.pop()?.close();
  const none = (await openNode(log, behind, new MemoryCheckpoints())
    .then((store) => store.reached(5n))
    .catch((error: unknown) => error)) as Error;
  expect(none).toMatchObject({ code: 'LODESTORE_POSITION_EXPIRED', oldestPosition: 5n });
  expect(none.message).toMatch(
    /there is no checkpoint\. Write a checkpoint on a node that follows/,
  );
  await opened.pop()?.close();
  await expect(repair(log, behind)).rejects.toThrow(/begins at 5, and the store ends with batch 1/);
  const store = await openNode(log, behind, checkpoints.connect());
  await store.reached(5n);
  expect([...store.keys()]).toEqual([1n, 2n, 3n, 4n]);
});

test('the node that trims needs no checkpoint to go on, and can begin another log', async () => {
  const { log, fs } = await trimPast(new MemoryCheckpoints());
  expect(await standing(log, fs)).toEqual({ kind: 'follows', sequence: 4n });
  const store = await openNode(log, fs);
  await store.promote();
  await store.put(5n, 1n);
  await store.close();
  const [other, checkpoints] = [new SimulatedLog(), new MemoryCheckpoints()];
  expect(await repair(other, fs, checkpoints)).toMatchObject({ position: 1n, sequence: 5n });
  const fresh = await openNode(other, new CrashFs(), checkpoints.connect());
  await fresh.promote();
  await fresh.put(6n, 1n);
  expect([...fresh.keys()]).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
});

test('a replica saves its place when the log is trimmed past the saved one', async () => {
  const [log, checkpoints, fs] = [new SimulatedLog(), new MemoryCheckpoints(), new CrashFs()];
  const primary = await openNode(log, new CrashFs(), checkpoints.connect());
  const replica = await openNode(log, fs);
  await primary.promote();
  for (const key of [1n, 2n, 3n]) {
    await primary.put(key, 1n);
    await primary.checkpoint();
  }
  await replica.reached(primary.position);
  await replica.sync();
  expect(log.bounds.first).toBeGreaterThan(1n);
  await expect.poll(async () => (await standing(log, fs)).kind).toBe('follows');
});
