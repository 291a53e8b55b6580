import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { SimulatedTime } from '../../property-tests/replicated/simulated-time.ts';
import { clockOf } from '../../src/replicated/node/replica-clock.ts';
import { CrashFs, openReplicaOn, SimulatedLog } from '../../src/testing/index.ts';

const nextTurn = (): Promise<void> => new Promise((go) => setImmediate(go));

/** A primary whose engine can be cut off. */
async function openPrimary() {
  const log = new SimulatedLog();
  const connection = log.connect();
  const options = { log: connection, commitTimeoutMs: 30, pollMs: 5 };
  const store = await openReplicaOn(new CrashFs(), '/node', options, { seed: 700 });
  await store.promote();
  return { log, connection, store };
}

test('barriers are rejected while the engine is away, and only two entries wait for it', async () => {
  const { log, connection, store } = await openPrimary();
  connection.cut();
  const first = store.barrier();
  await nextTurn();
  const others = Array.from({ length: 20 }, () => store.barrier());
  for (const result of await Promise.allSettled([first, ...others])) {
    const reason = { code: 'LODESTORE_LOG_UNAVAILABLE' };
    expect(result).toMatchObject({ status: 'rejected', reason });
  }
  connection.heal();
  await expect.poll(() => log.bounds.last).toBe(3n);
  expect(await store.barrier()).toBe(4n);
  await store.close();
});

test('a barrier is aborted by its signal, and ends when the store is closed', async () => {
  const { connection, store } = await openPrimary();
  connection.cut();
  const aborting = new AbortController();
  const aborted = store.barrier({ signal: aborting.signal });
  aborting.abort(new Error('changed my mind'));
  await expect(aborted).rejects.toMatchObject({
    code: 'LODESTORE_ABORTED',
    cause: { message: 'changed my mind' },
  });
  const closed = store.barrier().catch((error: unknown) => error);
  await store.close();
  expect(await closed).toMatchObject({ code: 'LODESTORE_CLOSED' });
});

test('a batch is given up when the engine does not answer, and may be applied later', async () => {
  const { connection, store } = await openPrimary();
  connection.cut();
  await expect(store.put(1n, 1n)).rejects.toMatchObject({
    code: 'LODESTORE_LOG_UNAVAILABLE',
    outcome: 'unknown',
  });
  connection.heal();
  await expect.poll(() => store.has(1n)).toBe(true);
  await store.close();
});

test('a large group is not given up while the engine answers for its pieces', async () => {
  const time = new SimulatedTime();
  const clock = clockOf(time.timer);
  const { signal } = new AbortController();
  const settled = async <T>(work: Promise<T>): Promise<T> => {
    await time.passUntil(work);
    return work;
  };
  // An append waits twice.
  const delay = (): Promise<void> => clock.sleep(20, signal);
  const log = new SimulatedLog({ maxEntryBytes: 4_096, delay });
  const options = { log: log.connect(), commitTimeoutMs: 100 };
  const opening = openReplicaOn(new CrashFs(), '/node', options, { seed: 701, timer: time.timer });
  const store = await settled(opening);
  await settled(store.promote());
  const data = new Uint8Array(randomBytes(40_000));
  expect((await settled(store.put(1n, 1n, data))).sequence).toBe(1n);
  expect(store.position).toBeGreaterThan(10n);
  await settled(store.close());
});
