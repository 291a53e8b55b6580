import { randomBytes } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { NotPrimaryError, type ReplicatedStore } from '../../src/replicated/index.ts';
import { READ_VERSION } from '../../src/format/file-header.ts';
import { decodeEntry, encodeEntry, type EntryFields } from '../../src/replicated/log/entry.ts';
import {
  CrashFs,
  MemoryCheckpoints,
  openReplicaOn,
  SimulatedLog,
} from '../../src/testing/index.ts';

const opened: ReplicatedStore[] = [];

afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
});

let seed = 0;

async function openNode(
  log: SimulatedLog,
  fs: CrashFs = new CrashFs(),
  checkpoints?: MemoryCheckpoints,
  pollMs = 20,
): Promise<ReplicatedStore> {
  const options = { log: log.connect(), checkpoints, address: `node-${seed}`, pollMs };
  const store = await openReplicaOn(fs, '/node', options, { seed: ++seed });
  opened.push(store);
  return store;
}

test('a batch of the primary is visible on a replica', async () => {
  const log = new SimulatedLog();
  const one = await openNode(log);
  const other = await openNode(log);
  await one.promote();
  expect(one.role).toBe('primary');
  const { sequence } = await one.put(1n, 2n, new Uint8Array([3]));
  expect(sequence).toBe(1n);
  expect(one.position).toBe(2n);
  await other.reached(one.position);
  expect(other.get(1n)).toEqual({ value: 2n, data: new Uint8Array([3]) });
  await expect(other.put(1n, 5n)).rejects.toThrow(NotPrimaryError);
  expect(await other.contentHash()).toEqual(await one.contentHash());
});

test('a deleted range is one row of the shared log and is equal on every node', async () => {
  const log = new SimulatedLog();
  const one = await openNode(log);
  const other = await openNode(log);
  await one.promote();
  for (let key = 0n; key < 20n; key++) await one.put(key, key + 1n);
  const { sequence } = await one.deleteRange({ gte: 5, lt: 15 });
  await one.put(7n, 70n);
  await other.reached(one.position);
  expect([...other.keys()]).toEqual([0n, 1n, 2n, 3n, 4n, 7n, 15n, 16n, 17n, 18n, 19n]);
  expect(await other.contentHash()).toEqual(await one.contentHash());
  expect(sequence).toBeGreaterThan(0n);
  await other.promote();
  await other.deleteRange({ lt: 8 });
  await one.reached(other.position);
  expect(await other.contentHash()).toEqual(await one.contentHash());
  expect(one.firstKey()).toBe(15n);
});

/** The newest entry of the log, which holds rows. */
function lastEntry(log: SimulatedLog): EntryFields & { readonly checksum: number } {
  const entry = decodeEntry(log.entryAt(log.bounds.last)!);
  if (typeof entry === 'string' || entry.kind !== 'batches') throw new Error('it has no rows');
  return entry;
}

/** Appends a copy of the newest entry, as the next group, with another version of its rows. */
async function appendWithVersion(log: SimulatedLog, rowsVersion: number): Promise<void> {
  const { checksum, ...entry } = lastEntry(log);
  const firstSequence = entry.firstSequence + 1n;
  const next = encodeEntry({ ...entry, firstSequence, previous: checksum, rowsVersion });
  await log.connect().append(log.bounds.last + 1n, next);
}

test('a group that deletes an interval has the version of such logs, and no other group', async () => {
  const log = new SimulatedLog();
  const one = await openNode(log);
  await one.promote();
  const versionAfter = async (write: Promise<unknown>): Promise<number> => {
    await write;
    return lastEntry(log).rowsVersion;
  };
  expect(await versionAfter(one.put(1n, 1n))).toBe(2);
  expect(await versionAfter(one.deleteRange({ gte: 1n, lt: 9n }))).toBe(3);
  expect(await versionAfter(one.put(1n, 1n))).toBe(2);
});

test('a node that is too old for the rows of an entry says so, and loses no log', async () => {
  const log = new SimulatedLog();
  const one = await openNode(log);
  await one.promote();
  await one.put(1n, 1n);
  await appendWithVersion(log, READ_VERSION.log + 1);
  await expect(one.reached(log.bounds.last)).rejects.toMatchObject({
    code: 'LODESTORE_UNSUPPORTED_FORMAT',
  });
  expect(one.get(1n)?.value).toBe(1n);
});

test('an interval in rows of a version without intervals is not applied', async () => {
  const log = new SimulatedLog();
  const one = await openNode(log);
  await one.promote();
  await one.deleteRange({ gte: 1n, lt: 9n });
  await appendWithVersion(log, 2);
  await expect(one.reached(log.bounds.last)).rejects.toMatchObject({ code: 'LODESTORE_LOG_LOST' });
});

test('a takeover fences the old primary', async () => {
  const log = new SimulatedLog();
  const one = await openNode(log);
  const other = await openNode(log);
  await one.promote();
  await one.put(1n, 1n);
  await other.promote();
  expect(other.get(1n)?.value).toBe(1n);
  await expect(one.put(2n, 1n)).rejects.toMatchObject({
    code: 'LODESTORE_NOT_PRIMARY',
    outcome: 'not-applied',
  });
  expect(one.role).toBe('replica');
  await other.put(3n, 1n);
  await one.reached(other.position);
  expect([one.has(2n), one.has(3n)]).toEqual([false, true]);
  await one.promote();
  await one.put(4n, 1n, undefined, { ifAbsent: true });
  await expect(one.put(4n, 1n, undefined, { ifAbsent: true })).rejects.toMatchObject({
    code: 'LODESTORE_CONDITION_FAILED',
  });
  await expect(other.barrier()).rejects.toThrow(NotPrimaryError);
  expect(await one.barrier()).toBe(one.position);
});

test('a primary that was deposed unawares does not tell that a condition fails', async () => {
  const log = new SimulatedLog();
  const one = await openNode(log, new CrashFs(), undefined, 60_000);
  const other = await openNode(log);
  await one.promote();
  await other.promote();
  await other.put(5n, 50n);
  // It fails by what `one` has, and holds by what was committed.
  expect(one.role).toBe('primary');
  await expect(one.put(5n, 51n, undefined, { ifValue: 50n })).rejects.toMatchObject({
    code: 'LODESTORE_NOT_PRIMARY',
    outcome: 'not-applied',
  });
});

test('a group larger than an entry is applied whole', async () => {
  const log = new SimulatedLog({ maxEntryBytes: 4_096 });
  const one = await openNode(log);
  const other = await openNode(log);
  await one.promote();
  const data = new Uint8Array(randomBytes(50_000));
  await one.put(1n, 1n, data);
  expect(one.position).toBeGreaterThan(5n);
  await other.reached(one.position);
  expect(other.get(1n)?.data).toEqual(data);
});

test('a node reopens at its place and continues to read', async () => {
  const log = new SimulatedLog();
  const fs = new CrashFs();
  const one = await openNode(log);
  const other = await openNode(log, fs);
  await one.promote();
  for (let i = 1n; i <= 20n; i++) await one.put(i, 1n);
  await other.reached(one.position);
  await other.merge();
  await other.close();
  for (let i = 21n; i <= 30n; i++) await one.put(i, 1n);
  const again = await openNode(log, fs);
  await again.reached(one.position);
  expect(again.size).toBe(30);
  expect(again.stats().lastSequence).toBe(30n);
});

test('a new machine is filled from a checkpoint, and the log is trimmed up to the second', async () => {
  const log = new SimulatedLog();
  const checkpoints = new MemoryCheckpoints();
  const one = await openNode(log, new CrashFs(), checkpoints);
  await one.promote();
  for (let i = 1n; i <= 10n; i++) await one.put(i, 1n);
  await one.checkpoint();
  expect(log.bounds.first).toBe(1n);
  for (let i = 11n; i <= 20n; i++) await one.put(i, 1n);
  await one.checkpoint();
  expect(log.bounds.first).toBe(12n);
  await one.put(21n, 1n);
  const fresh = await openNode(log, new CrashFs(), checkpoints);
  await fresh.reached(one.position);
  expect(fresh.size).toBe(21);
  expect(await fresh.contentHash()).toEqual(await one.contentHash());
  const without = openNode(log, new CrashFs());
  await expect(without.then((store) => store.reached(1n))).rejects.toMatchObject({
    code: 'LODESTORE_POSITION_EXPIRED',
  });
});

test('the elected node becomes the primary, and another one when it is closed', async () => {
  const log = new SimulatedLog();
  const waiting: ((leadership: { readonly lost: Promise<void> }) => void)[] = [];
  const elector = {
    campaign: () =>
      new Promise<{ readonly lost: Promise<void> }>((resolve) => {
        waiting.push(resolve);
      }),
  };
  const open = async (fs: CrashFs): Promise<ReplicatedStore> => {
    const store = await openReplicaOn(
      fs,
      '/node',
      { log: log.connect(), elector },
      { seed: ++seed },
    );
    opened.push(store);
    return store;
  };
  const one = await open(new CrashFs());
  const other = await open(new CrashFs());
  const never = new Promise<void>(() => undefined);
  waiting[0]!({ lost: never });
  await expect.poll(() => one.role).toBe('primary');
  await one.put(1n, 1n);
  await one.close();
  waiting[1]!({ lost: never });
  await expect.poll(() => other.role).toBe('primary');
  expect(other.has(1n)).toBe(true);
});

test('checkpoints are written automatically, and the primary trims the log', async () => {
  const log = new SimulatedLog();
  const checkpoints = new MemoryCheckpoints();
  const open = async (): Promise<ReplicatedStore> => {
    const options = { log: log.connect(), checkpoints, checkpointEveryMs: 5, pollMs: 5 };
    const store = await openReplicaOn(new CrashFs(), '/node', options, { seed: ++seed });
    opened.push(store);
    return store;
  };
  const one = await open();
  await open();
  await one.promote();
  let key = 0n;
  await expect
    .poll(async () => {
      await one.put(++key, 1n);
      return log.bounds.first;
    })
    .toBeGreaterThan(2n);
});
