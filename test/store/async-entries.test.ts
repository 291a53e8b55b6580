import { describe, expect, test } from 'vitest';
import { MetadataStore, WriteBatch } from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const NO_MERGES = { mergeBytes: 2 ** 40 };

function batchOf(from: number, to: number, value: number, step = 1): WriteBatch {
  const batch = new WriteBatch();
  for (let key = from; key < to; key += step) {
    if (value === 0) batch.delete(key);
    else batch.put(key, value, Uint8Array.of(key & 255));
  }
  return batch;
}

async function allOf<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of iterable) found.push(one);
  return found;
}

/**
 * Keys 0 to 4999 are merged, 2500 to 6999 are in a frozen layer and live rows, many of them
 * deleted.
 */
async function openLayers(): Promise<MetadataStore> {
  const fs = new CrashFs({ trace: false });
  const store = await openOn(fs, '/s', NO_MERGES);
  await store.insertBatch(batchOf(0, 5000, 1));
  await store.merge();
  fs.faults.add({ call: 'open', error: 'EIO', path: /\.tmp$/ });
  await store.insertBatch(batchOf(2500, 7000, 2, 2));
  await expect(store.merge()).rejects.toThrow(/merging into/);
  await store.insertBatch(batchOf(100, 4500, 0));
  await store.insertBatch(batchOf(4000, 4010, 3));
  return store;
}

describe('for await', () => {
  test('yields what a synchronous loop yields, for every range, across many deletes', async () => {
    await using store = await openLayers();
    for (const range of [
      {},
      { gte: 50, lt: 4005 },
      { gt: 200, lte: 3900 },
      { reverse: true },
      { reverse: true, limit: 3 },
      { gte: 150, limit: 2 },
      { limit: 0 },
    ]) {
      expect(await allOf(store.entries(range))).toEqual([...store.entries(range)]);
      expect(await allOf(store.keys(range))).toEqual([...store.keys(range)]);
      expect(await allOf(store.values(range))).toEqual([...store.values(range)]);
    }
    expect(await allOf(store)).toEqual([...store]);
    const space = store.keyspace({ prefix: 0, bits: 53 });
    expect(await allOf(space)).toEqual([...space]);
    using snapshot = store.snapshot();
    expect(await allOf(snapshot.keys())).toEqual([...snapshot.keys()]);
  });

  test('shows the state at the call, whatever is written and merged meanwhile', async () => {
    await using store = await openLayers();
    const expected = [...store.keys()];
    const found: bigint[] = [];
    for await (const key of store.keys()) {
      found.push(key);
      if (found.length === 50) await store.insertBatch(batchOf(0, 8000, 0));
      if (found.length === 60) await store.merge();
    }
    expect(found).toEqual(expected);
    expect(store.size).toBe(0);
  });

  test('yields to the event loop', async () => {
    const store = await MetadataStore.open(await temporaryDirectory(), NO_MERGES);
    await store.insertBatch(batchOf(0, 300_000, 1));
    let turns = 0;
    let isOver = false;
    const turn = (): void => {
      turns++;
      if (!isOver) setImmediate(turn);
    };
    setImmediate(turn);
    let count = 0;
    for await (const _ of store.keys()) count++;
    isOver = true;
    expect(count).toBe(300_000);
    expect(turns).toBeGreaterThan(4);
    await store.close();
  });

  test('ends early with the loop and with the store', async () => {
    const store = await openLayers();
    for await (const key of store.keys()) if (key === 5n) break;
    const iterator = store.entries();
    const inSlices = iterator[Symbol.asyncIterator]();
    await inSlices.next();
    await store.close();
    await expect(inSlices.next()).rejects.toMatchObject({ code: 'LODESTORE_CLOSED' });
    expect([...iterator]).toEqual([]);
    expect(() => store.entries()).toThrow(/closed/);
  });
});

test('count, firstKey and lastKey agree with keys for every range', async () => {
  await using store = await openLayers();
  for (const range of [
    {},
    { gte: 50, lt: 4005 },
    { gt: 99, lt: 4000 },
    { gte: 4009, lte: 4509 },
    { gt: 8000 },
    { gte: 6998 },
    { gt: 5, lt: 5 },
  ]) {
    const keys = [...store.keys(range)];
    expect(await store.count(range)).toBe(keys.length);
    expect(store.firstKey(range)).toBe(keys[0]);
    expect(store.lastKey(range)).toBe(keys.at(-1));
  }
  const space = store.keyspace({ prefix: 1, bits: 53 });
  const keys = [...space.keys()];
  expect([space.firstKey(), space.lastKey()]).toEqual([keys[0], keys.at(-1)]);
  expect(space.firstKey({ gte: 2047 })).toBe([...space.keys({ gte: 2047 })][0]);
  await expect(store.count({ limit: 3 } as object)).rejects.toThrow(/field "limit"/);
  await expect(store.count({ signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: 'LODESTORE_ABORTED',
  });
  expect(() => store.firstKey({ gte: -1 })).toThrow(/gte must be/);
});
