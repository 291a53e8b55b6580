import { describe, expect, test } from 'vitest';
import {
  MetadataStore,
  SnapshotReleasedError,
  WriteBatch,
  type StoreRecord,
  type StoreSnapshot,
} from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { contentHashOf } from '../support/independent-content-hash.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const NO_MERGES = { mergeBytes: 2 ** 40 };

function batchOf(from: number, to: number, value: number, step = 1): WriteBatch {
  const batch = new WriteBatch();
  for (let key = from; key < to; key += step) batch.put(key, value, Uint8Array.of(key, value));
  return batch;
}

function deletesOf(from: number, to: number, step = 1): WriteBatch {
  const batch = new WriteBatch();
  for (let key = from; key < to; key += step) batch.delete(key);
  return batch;
}

function hashOf(records: readonly [bigint, StoreRecord][]): string {
  return contentHashOf(records.map(([key, record]) => ({ key, ...record })));
}

/** Checks that all reads of a snapshot return these records; point reads cover keys [0, end). */
async function readAll(snapshot: StoreSnapshot, end: number): Promise<Map<bigint, StoreRecord>> {
  const records = new Map(snapshot.entries());
  expect(snapshot.size).toBe(records.size);
  expect(await snapshot.count()).toBe(records.size);
  const keys = BigUint64Array.from({ length: end }, (_, key) => BigInt(key));
  const expected = [...keys].map((key) => records.get(key));
  expect([...keys].map((key) => snapshot.get(key))).toEqual(expected);
  expect([...snapshot.getMany(keys)]).toEqual(expected.map((one) => one?.value ?? 0n));
  expect([...snapshot.hasMany(keys)]).toEqual(expected.map((one) => (one === undefined ? 0 : 1)));
  const target = new Uint8Array(2);
  for (const [at, key] of keys.entries()) {
    expect(snapshot.has(key)).toBe(expected[at] !== undefined);
    expect(snapshot.getInto(key, target)).toBe(expected[at]?.data.length);
  }
  const found = [];
  for await (const entry of snapshot.entriesByValue()) found.push(entry);
  expect(new Map(found)).toEqual(records);
  expect(await snapshot.contentHash()).toEqual({
    hash: hashOf([...records]),
    records: records.size,
    lastSequence: snapshot.lastSequence,
  });
  return records;
}

describe('a snapshot', () => {
  test('shows its moment through writes, rotations, merges and failed merges', async () => {
    const fs = new CrashFs({ trace: false });
    await using store = await openOn(fs, '/s', NO_MERGES);
    const taken: [StoreSnapshot, [bigint, StoreRecord][]][] = [];
    const take = (): void => {
      taken.push([store.snapshot(), [...store.entries()]]);
    };
    take();
    await store.insertBatch(batchOf(0, 300, 1));
    take();
    await store.merge();
    take();
    await store.insertBatch(batchOf(100, 200, 2));
    await store.insertBatch(deletesOf(150, 250, 3));
    take();
    // Rows of keys that the snapshot has seen are replaced in the same layer.
    await store.insertBatch(batchOf(100, 400, 3, 2));
    take();
    fs.faults.add({ call: 'open', error: 'EIO', path: /\.tmp$/ });
    await expect(store.merge()).rejects.toThrow(/merging into/);
    await store.insertBatch(deletesOf(0, 50));
    take();
    await store.backup('/b');
    await store.merge();
    await store.insertBatch(deletesOf(0, 1000));
    await store.merge();
    expect(store.size).toBe(0);
    expect(store.stats().snapshots).toMatchObject({ open: 6, oldestSequence: 0n });
    for (const [snapshot, expected] of taken) {
      expect([...(await readAll(snapshot, 420))]).toEqual(expected);
    }
    expect(taken.map(([{ lastSequence }]) => lastSequence)).toEqual([0n, 1n, 1n, 3n, 4n, 5n]);
    expect(taken[1]![0].get(7)).toEqual({ value: 1n, data: Uint8Array.of(7, 1) });
    for (const [snapshot] of taken) snapshot.release();
    expect(store.stats().snapshots).toEqual({ open: 0, heldBytes: 0, oldestSequence: undefined });
  });

  test('can be read while a group is in flight, and after its failure', async () => {
    const fs = new CrashFs({ trace: false });
    await using store = await openOn(fs, '/s', NO_MERGES);
    await store.insertBatch(batchOf(0, 100, 1));
    const snapshot = store.snapshot();
    const writing = store.insertBatch(batchOf(50, 150, 2));
    const during = store.snapshot();
    expect([...(await readAll(snapshot, 160))]).toEqual([...(await readAll(during, 160))]);
    await writing;
    fs.faults.add({ call: 'write', error: 'ENOSPC' });
    await expect(store.insertBatch(deletesOf(0, 100))).rejects.toThrow(/space/);
    expect((await readAll(during, 160)).size).toBe(100);
    expect((await readAll(store.snapshot(), 160)).size).toBe(150);
  });

  test('reports the memory that only it keeps, once for all snapshots', async () => {
    await using store = await openOn(new CrashFs({ trace: false }), '/s', NO_MERGES);
    const rows = new WriteBatch();
    for (let key = 0; key < 20_000; key++) rows.put(key * 10, 7, new Uint8Array(100));
    await store.insertBatch(rows);
    await store.merge();
    const held = (): number => store.stats().snapshots.heldBytes;
    const snapshots = [store.snapshot(), store.snapshot()];
    expect(held()).toBe(0);
    await store.put(5, 5);
    expect(held()).toBe(0);
    // One chunk is replaced, and the rows of the delta are dropped.
    await store.merge();
    const afterOne = held();
    expect(afterOne).toBeGreaterThan(0);
    expect(afterOne).toBeLessThan(store.stats().memory.baseBytes);
    await store.insertBatch(deletesOf(0, 200_000, 10));
    await store.merge();
    expect(held()).toBeGreaterThan(20_000 * 100);
    snapshots.pop()!.release();
    expect(held()).toBeGreaterThan(20_000 * 100);
    snapshots.pop()!.release();
    expect(held()).toBe(0);
  });

  test('has keyspaces', async () => {
    await using store = await openOn(new CrashFs({ trace: false }), '/s', NO_MERGES);
    const space = store.keyspace({ prefix: 3, bits: 4 });
    await space.put(1, 10);
    using snapshot = store.snapshot();
    const before = snapshot.keyspace({ prefix: 3, bits: 4 });
    const hash = await space.contentHash();
    await space.put(1, 11);
    await space.put(2, 12);
    expect([...before.entries()]).toEqual([[1n, { value: 10n, data: new Uint8Array() }]]);
    expect(before.valueOf(1)).toBe(10n);
    expect(await before.contentHash()).toEqual(hash);
    expect(await before.count()).toBe(1);
    expect('put' in before).toBe(false);
    snapshot.release();
    expect(() => before.get(1)).toThrow(SnapshotReleasedError);
  });
});

describe('a released snapshot', () => {
  test('throws a typed error from every call and ends running iterations', async () => {
    await using store = await openOn(new CrashFs({ trace: false }), '/s', NO_MERGES);
    await store.insertBatch(batchOf(0, 5000, 1));
    let snapshot: StoreSnapshot;
    {
      using scoped = store.snapshot();
      snapshot = scoped;
      expect(scoped.isReleased).toBe(false);
    }
    expect(snapshot.isReleased).toBe(true);
    snapshot.release();
    const calls: (() => unknown)[] = [
      () => snapshot.size,
      () => snapshot.get(1),
      () => snapshot.has(1),
      () => snapshot.valueOf(1),
      () => snapshot.getInto(1, new Uint8Array(2)),
      () => snapshot.getMany(BigUint64Array.of(1n)),
      () => snapshot.hasMany(BigUint64Array.of(1n)),
      () => snapshot.entries(),
      () => snapshot.keys(),
      () => snapshot.values(),
      () => snapshot[Symbol.iterator](),
      () => snapshot.entriesByValue(),
    ];
    for (const call of calls) expect(call).toThrow(SnapshotReleasedError);
    await expect(snapshot.count()).rejects.toMatchObject({ code: 'LODESTORE_SNAPSHOT_RELEASED' });
    await expect(snapshot.contentHash()).rejects.toThrow(SnapshotReleasedError);
    const other = store.snapshot();
    const byValue = other.entriesByValue();
    await byValue.next();
    const begun = other.entries();
    begun.next();
    other.release();
    await expect(byValue.next()).rejects.toThrow(SnapshotReleasedError);
    expect([...begun].length).toBe(4999);
  });

  test('is released by a close in any state', async () => {
    const directory = await temporaryDirectory();
    const store = await MetadataStore.open(directory);
    await store.insertBatch(batchOf(0, 10, 1));
    const snapshot = store.snapshot();
    const hash = snapshot.contentHash();
    await hash;
    await store.close();
    expect(() => snapshot.get(1)).toThrow(/the store is closed/);
    expect(() => snapshot.size).toThrow(expect.objectContaining({ code: 'LODESTORE_CLOSED' }));
    await expect(snapshot.contentHash()).rejects.toMatchObject({ code: 'LODESTORE_CLOSED' });
    expect(snapshot.isReleased).toBe(true);
    expect(store.stats().snapshots.open).toBe(0);
    expect(() => store.snapshot()).toThrow(/the store is closed/);
    const reader = await MetadataStore.open(directory, { readOnly: true });
    using readOnly = reader.snapshot();
    expect(readOnly.size).toBe(10);
    await reader.close();
  });

  test('of a warming store reads chunks when they are needed', async () => {
    const fs = new CrashFs({ trace: false });
    const before = await openOn(fs, '/s', NO_MERGES);
    await before.insertBatch(batchOf(0, 20_000, 1));
    await before.merge();
    await before.close();
    await using store = await openOn(fs, '/s', { ...NO_MERGES, warm: 'background' });
    using snapshot = store.snapshot();
    await store.insertBatch(deletesOf(0, 20_000));
    expect(snapshot.get(19_999)).toEqual({ value: 1n, data: Uint8Array.of(19_999, 1) });
    await store.merge();
    expect([...snapshot.keys()].length).toBe(20_000);
  });
});
