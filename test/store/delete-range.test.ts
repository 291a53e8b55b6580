import { describe, expect, test } from 'vitest';
import { MetadataStore, WriteBatch, type StoreRecord, type Update } from '../../src/index.ts';
import { openStoreIn } from '../../src/store/metadata-store.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { simulatedEnvironment } from '../../src/testing/open-on.ts';
import { contentHashOf } from '../support/independent-content-hash.ts';
import { rest } from '../support/feed.ts';

const NO_MERGES = { mergeBytes: 2 ** 40 };

function batchOf(from: number, to: number, value: number, step = 1): WriteBatch {
  const batch = new WriteBatch();
  for (let key = from; key < to; key += step) batch.put(key, value, Uint8Array.of(key & 255));
  return batch;
}

type Model = Map<bigint, number>;

function put(model: Model, from: number, to: number, value: number, step = 1): void {
  for (let key = from; key < to; key += step) model.set(BigInt(key), value);
}

function drop(model: Model, from: number, to: number): void {
  for (const key of model.keys()) if (key >= from && key < to) model.delete(key);
}

function contentsOf(records: Iterable<[bigint, StoreRecord]>): [bigint, number][] {
  return [...records].map(([key, { value }]) => [key, Number(value)]);
}

function sorted(model: Model): [bigint, number][] {
  return [...model].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

async function expectContents(store: MetadataStore, model: Model): Promise<void> {
  expect(contentsOf(store.entries())).toEqual(sorted(model));
  expect(store.size).toBe(model.size);
  const { hash, records } = await store.contentHash();
  const all = [...store.entries()].map(([key, record]) => ({ key, ...record }));
  expect([hash, records]).toEqual([contentHashOf(all), model.size]);
}

describe('deleteRange', () => {
  test('deletes in every layer, and after every kind of reopen', async () => {
    let fs = new CrashFs({ trace: false });
    const model: Model = new Map();
    let store = await openOn(fs, '/s', NO_MERGES);
    await store.insertBatch(batchOf(0, 20_000, 1));
    put(model, 0, 20_000, 1);
    await store.merge();
    await store.insertBatch(batchOf(15_000, 25_000, 2));
    put(model, 15_000, 25_000, 2);
    const view = store.entries({ gte: 9_000, lt: 9_010 });
    using snapshot = store.snapshot();
    const before = store.size;
    expect(await store.deleteRange({ gte: 9_000, lt: 16_000 })).toEqual({ sequence: 3n });
    drop(model, 9_000, 16_000);
    await expectContents(store, model);
    expect([...view]).toHaveLength(10);
    expect([snapshot.size, snapshot.has(9_001)]).toEqual([before, true]);
    await store.insertBatch(batchOf(9_500, 9_600, 3));
    put(model, 9_500, 9_600, 3);
    await store.deleteRange({ gt: 24_000 });
    drop(model, 24_001, 2 ** 40);
    await expectContents(store, model);
    // The logs are read again, with the snapshot.
    fs = fs.minimalCrash();
    store = await openOn(fs, '/s', NO_MERGES);
    await expectContents(store, model);
    await store.merge();
    await expectContents(store, model);
    await store.deleteRange({ lt: 5 });
    drop(model, 0, 5);
    await store.close();
    store = await openOn(fs, '/s', { ...NO_MERGES, warm: 'background' });
    await expectContents(store, model);
    await store.close();
    const reader = await openOn(fs, '/s', { readOnly: true });
    await expectContents(reader, model);
    await reader.close();
  });

  test('keeps its place in the batch', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', NO_MERGES);
    await store.insertBatch(batchOf(0, 100, 1));
    const updates: Update[] = [
      { type: 'put', key: 10, value: 7 },
      { type: 'put', key: 500, value: 7 },
      { type: 'deleteRange', gte: 5, lt: 600 },
      { type: 'put', key: 20, value: 8 },
      { type: 'deleteRange', gte: 1, lte: 3 },
      { type: 'delete', key: 4 },
    ];
    await store.insertBatch(updates);
    const expected = [
      [0n, 1],
      [20n, 8],
    ];
    expect(contentsOf(store.entries())).toEqual(expected);
    const again = await openOn(fs.minimalCrash(), '/s', NO_MERGES);
    expect(contentsOf(again.entries())).toEqual(expected);
    await again.merge();
    expect(contentsOf(again.entries())).toEqual(expected);
    await store.close();
    await again.close();
  });

  test('after many rows of the same batch; the whole batch is rejected when its write fails', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', NO_MERGES);
    const model: Model = new Map();
    await store.insertBatch(batchOf(0, 6_000, 1));
    put(model, 0, 6_000, 1);
    // The rows in front of the range are cut into several parts.
    const batch = batchOf(3_000, 20_000, 2).deleteRange({ gte: 2_000, lt: 19_000 }).put(2_500, 3);
    fs.faults.add({ call: 'write', error: 'ENOSPC', mode: 'sticky' });
    await expect(store.insertBatch(batch)).rejects.toMatchObject({ outcome: 'not-applied' });
    fs.faults.clear();
    await expectContents(store, model);
    await store.insertBatch(batch);
    put(model, 3_000, 20_000, 2);
    drop(model, 2_000, 19_000);
    put(model, 2_500, 2_501, 3);
    expect(contentsOf(store.entries())).toEqual(sorted(model));
    expect(store.size).toBe(model.size);
    const again = await openOn(fs.minimalCrash(), '/s', NO_MERGES);
    expect(contentsOf(again.entries())).toEqual(sorted(model));
    await again.close();
    await store.close();
  });

  test('is one update in the feed and one small frame in a log of version 3', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', NO_MERGES);
    await store.insertBatch(batchOf(0, 50_000, 1));
    const before = store.stats();
    const space = store.keyspace({ prefix: 0, bits: 8 });
    await store.insertBatch(new WriteBatch().put(7, 7).deleteRange({ gte: 100 }));
    await space.deleteRange({ gte: 50, lt: 60 });
    const after = store.stats();
    expect(after.logs.rotations).toBe(before.logs.rotations + 1);
    expect(after.commits.writtenBytes - before.commits.writtenBytes).toBeLessThan(512);
    expect(store.size).toBe(90);
    const feed = store.changes({ after: 1n });
    const lines = [await feed.next(), await feed.next()].map(({ value }) => value);
    expect(lines.map(({ size, byteLength }) => [size, byteLength])).toEqual([
      [2, 48],
      [1, 28],
    ]);
    expect([...lines[0].updates]).toEqual([
      { type: 'put', key: 7n, value: 7n, data: new Uint8Array() },
      { type: 'deleteRange', gte: 100n, lte: 2n ** 64n - 1n },
    ]);
    await feed.return?.();
    await store.close();
    const follower = await openOn(new CrashFs({ trace: false }), '/f', NO_MERGES);
    await follower.insertBatch(batchOf(0, 50_000, 1));
    const reader = await openOn(fs, '/s', { readOnly: true });
    for await (const change of reader.changes({ after: 1n })) {
      await follower.insertBatch(change.updates);
    }
    expect(await follower.contentHash()).toEqual(await reader.contentHash());
    expect(await rest(reader.changes({ after: 2n }))).toEqual(['3 -50..59']);
    await reader.close();
    await follower.close();
  });

  test('of an empty range is an update; without bounds it is refused', async () => {
    const store = await openOn(new CrashFs({ trace: false }), '/s', NO_MERGES);
    await store.insertBatch(batchOf(0, 10, 1));
    expect(await store.deleteRange({ gte: 100 })).toEqual({ sequence: 2n });
    // Contradictory bounds add nothing to the batch, which is then empty.
    expect(await store.deleteRange({ gte: 9, lt: 3 })).toEqual({ sequence: 2n });
    expect(store.size).toBe(10);
    await expect(store.deleteRange({})).rejects.toThrow(/range must have a bound/);
    await expect(store.deleteRange({ limit: 1 } as object)).rejects.toThrow(/field "limit"/);
    await expect(store.deleteRange({ gte: -1 })).rejects.toThrow(RangeError);
    await expect(
      store.insertBatch([{ type: 'deleteRange', key: 1 } as unknown as Update]),
    ).rejects.toThrow(/field "key"/);
    await expect(store.deleteRange({ gte: 1 }, { ifValue: 1 } as object)).rejects.toThrow(
      /field "ifValue"/,
    );
    const space = store.keyspace({ prefix: 1, bits: 60 });
    await expect(space.deleteRange({ gte: 16 })).rejects.toThrow(/gte must have at most 4 bits/);
    expect(space.toRange({ gt: 2, lt: 9 })).toEqual({ gte: 19n, lte: 24n });
    await store.close();
  });

  test('works inline, with conditions, and while batches queue', async () => {
    const fs = new CrashFs({ trace: false });
    const inline = await openOn(fs, '/s', { ...NO_MERGES, commits: 'inline' });
    inline.insertBatchSync(batchOf(0, 1000, 1));
    inline.insertBatchSync(new WriteBatch().deleteRange({ gte: 10 }).put(12, 2));
    expect(inline.size).toBe(11);
    await inline.close();
    const store = await openOn(fs, '/s', NO_MERGES);
    const all = [
      store.insertBatch(batchOf(100, 200, 3)),
      store.deleteRange({ gte: 150, lt: 160 }),
      store.put(155, 4, undefined, { ifAbsent: true }),
      store.insertBatch(
        new WriteBatch().deleteRange({ lt: 120 }).put(130, 5, undefined, { ifValue: 3 }),
      ),
      store.put(131, 6, undefined, { ifValue: 3 }),
    ];
    const numbers = (await Promise.all(all)).map(({ sequence }) => sequence);
    expect(numbers).toEqual([3n, 4n, 5n, 6n, 7n]);
    expect([store.valueOf(155), store.valueOf(130), store.valueOf(5)]).toEqual([4n, 5n, undefined]);
    expect(store.size).toBe(80 - 9);
    const failed = store.insertBatch(
      new WriteBatch().deleteRange({ gte: 0 }).put(1, 1, undefined, { ifValue: 9 }),
    );
    await expect(failed).rejects.toMatchObject({ code: 'LODESTORE_CONDITION_FAILED' });
    expect(store.size).toBe(71);
    await store.close();
  });

  test('deletes nothing if its write fails', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', NO_MERGES);
    await store.insertBatch(batchOf(0, 5000, 1));
    await store.deleteRange({ gte: 4000 });
    fs.faults.add({ call: 'write', error: 'ENOSPC', mode: 'sticky' });
    // A batch that also puts may not use the space reserved for deletes.
    const batch = new WriteBatch().deleteRange({ gte: 1000 }).put(1, 1);
    await expect(store.insertBatch(batch)).rejects.toMatchObject({ outcome: 'not-applied' });
    expect(store.size).toBe(4000);
    fs.faults.clear();
    await store.deleteRange({ gte: 3999 });
    expect(store.size).toBe(3999);
    await store.close();
    const again = await openOn(fs, '/s', NO_MERGES);
    expect(again.size).toBe(3999);
    await again.close();
  });

  test('yields after few rows: of records, of deletes in front of them, and of a failed write', async () => {
    const fs = new CrashFs({ trace: false });
    const pauses = { count: 0 };
    const pause = (): Promise<void> => {
      pauses.count++;
      return Promise.resolve();
    };
    const store = await openStoreIn({ ...simulatedEnvironment(fs), pause }, '/s', NO_MERGES);
    const pausesOf = async (commit: () => Promise<unknown>): Promise<number> => {
      pauses.count = 0;
      await commit().catch(() => undefined);
      return pauses.count;
    };
    await store.insertBatch(batchOf(0, 20_000, 1));
    await store.merge();
    // Each record is found, written as a delete and indexed. Each of these ends without a pause.
    const rows = 16_000;
    const ofRecords = await pausesOf(() => store.deleteRange({ lt: rows }));
    expect(ofRecords).toBeGreaterThanOrEqual(3 * (Math.floor(rows / 64) - 1));
    // Nothing is left there, but the deletes are passed one by one.
    const ofDeletes = await pausesOf(() => store.deleteRange({ lt: rows }));
    expect(ofDeletes).toBeGreaterThanOrEqual(Math.floor(rows / 256));
    fs.faults.add({ call: 'write', error: 'ENOSPC', mode: 'sticky' });
    const left = 20_000 - rows;
    const batch = new WriteBatch().deleteRange({ gte: 0 }).put(1, 1);
    const ofFailed = await pausesOf(() => store.insertBatch(batch));
    expect(ofFailed).toBeGreaterThanOrEqual(4 * (Math.floor(left / 64) - 1));
    expect(store.size).toBe(left);
    fs.faults.clear();
    await store.close();
  });
});
