import { afterEach, expect, test } from 'vitest';
import type { ReplicatedStore } from '../../src/replicated/index.ts';
import {
  CrashFs,
  MemoryCheckpoints,
  openReplicaOn,
  SimulatedLog,
  type SimulatedConnection,
} from '../../src/testing/index.ts';

const opened: ReplicatedStore[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
});

let seed = 900;

async function openNode(
  log: SimulatedConnection,
  checkpoints: MemoryCheckpoints,
): Promise<ReplicatedStore> {
  const options = { log, pollMs: 5, checkpoints: checkpoints.connect() };
  const store = await openReplicaOn(new CrashFs(), '/node', options, { seed: ++seed });
  opened.push(store);
  return store;
}

/** A replica at sequence 1 whose log is trimmed past it by `proceed`, and a feed of its changes. */
async function rebuildUnder(proceed: (primary: ReplicatedStore) => Promise<unknown>) {
  const [log, checkpoints] = [new SimulatedLog(), new MemoryCheckpoints()];
  const primary = await openNode(log.connect(), checkpoints);
  await primary.promote();
  await primary.put(1n, 1n);
  const connection = log.connect();
  const replica = await openNode(connection, checkpoints);
  await replica.reached(2n);
  const feed = replica.changes({ after: 0n });
  expect((await feed.next()).value).toMatchObject({ sequence: 1n });
  const next = feed.next();
  // Handled, also if it rejects before it is awaited.
  next.catch(() => undefined);
  const rebuilt = new Promise((resolve) => replica.once('rebuilt', resolve));
  connection.cut();
  for (let i = 0; i < 3; i++) {
    await proceed(primary);
    await primary.checkpoint();
  }
  connection.heal();
  await rebuilt;
  return { primary, replica, feed, next };
}

test('a feed of changes goes on after a rebuild', async () => {
  const { primary, replica, feed, next } = await rebuildUnder((one) => one.barrier());
  await primary.put(2n, 1n);
  expect((await next).value).toMatchObject({ sequence: 2n });
  const last = feed.next();
  await replica.close();
  expect(await last).toEqual({ done: true, value: undefined });
  expect(() => replica.changes()).toThrow(expect.objectContaining({ code: 'LODESTORE_CLOSED' }));
});

test('a feed of changes that has missed batches by a rebuild fails', async () => {
  const { replica, feed, next } = await rebuildUnder(async (one) => {
    await one.put(2n, 1n);
    // A checkpoint has the logs that are not merged, and so their batches.
    await one.merge();
  });
  await expect(next).rejects.toMatchObject({ code: 'LODESTORE_POSITION_EXPIRED' });
  expect(await feed.next()).toEqual({ done: true, value: undefined });
  const ended = replica.changes();
  await ended.return?.();
  expect(await ended.next()).toEqual({ done: true, value: undefined });
});
