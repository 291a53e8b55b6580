import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MetadataStore, WriteBatch, type StoreRecord } from '../../src/index.ts';
import type { ValueRangeOptions } from '../../src/store/value-entries.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { runs } from '../support/effort.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const NO_MERGES = { mergeBytes: 2 ** 40 };

function openSimulated(): Promise<MetadataStore> {
  return openOn(new CrashFs({ trace: false }), '/s', NO_MERGES);
}

/** The value of a key is `volumeOf(key)`. */
function batchOf(from: number, to: number, volumeOf: (key: number) => number): WriteBatch {
  const batch = new WriteBatch();
  for (let key = from; key < to; key++) {
    batch.put(key, BigInt(volumeOf(key)) * 2n ** 32n + BigInt(key) + 1n, Uint8Array.of(key & 255));
  }
  return batch;
}

type Entries = [bigint, StoreRecord][];

function sorted(entries: Entries): Entries {
  return entries.toSorted(([a], [b]) => (a < b ? -1 : 1));
}

async function found(
  store: MetadataStore,
  range: ValueRangeOptions,
  between?: () => Promise<unknown>,
): Promise<Entries> {
  const entries: Entries = [];
  for await (const entry of store.entriesByValue(range)) {
    entries.push(entry);
    await between?.();
  }
  return sorted(entries);
}

/** The result of a plain filter. */
function expected(store: MetadataStore, range: ValueRangeOptions): Entries {
  const { gte = 0, gt = -1, lte = 2n ** 64n, lt = 2n ** 64n } = range;
  return [...store.entries()].filter(
    ([, { value }]) => value >= gte && value > gt && value <= lte && value < lt,
  );
}

const volume = (number: number): ValueRangeOptions => ({
  gte: BigInt(number) * 2n ** 32n,
  lt: BigInt(number + 1) * 2n ** 32n,
});

describe('entriesByValue', () => {
  test('finds the records of volume 17 in snapshot, frozen and live updates', async () => {
    const directory = await temporaryDirectory();
    const store = await MetadataStore.open(directory, NO_MERGES);
    await store.insertBatch(batchOf(0, 30_000, (key) => key % 40));
    await store.merge();
    // Some move away, some move in, some are deleted, some are rewritten unchanged.
    await store.insertBatch(batchOf(0, 1000, (key) => (key + 1) % 40));
    await store.insertBatch(batchOf(1000, 2000, (key) => key % 40));
    const deletes = new WriteBatch();
    for (let key = 500; key < 3000; key += 3) deletes.delete(key);
    await store.insertBatch(deletes);
    const entries = await found(store, volume(17));
    expect(entries).toEqual(expected(store, volume(17)));
    expect(entries.length).toBeGreaterThan(600);
    expect(await found(store, {})).toEqual([...store.entries()]);
    await store.close();
    const again = await MetadataStore.open(directory, { ...NO_MERGES, readOnly: true });
    expect(await found(again, volume(17))).toEqual(entries);
    await again.close();
  });

  test('shows the state at the call, whatever is written and merged meanwhile', async () => {
    const store = await openSimulated();
    await store.insertBatch(batchOf(0, 9000, (key) => key % 3));
    await store.merge();
    await store.insertBatch(batchOf(4000, 12_000, (key) => (key + 1) % 3));
    const before = expected(store, volume(1));
    let round = 0;
    const moveAll = async (): Promise<void> => {
      round++;
      if (round % 500 !== 1) return;
      await store.insertBatch(batchOf(0, 12_000, (key) => (key + round) % 3));
      await store.insertBatch(batchOf(20_000, 20_010, () => 1));
      if (round === 501) await store.merge();
    };
    expect(await found(store, volume(1), moveAll)).toEqual(before);
    expect(round).toBe(before.length);
    expect(await found(store, volume(1))).toEqual(expected(store, volume(1)));
    await store.close();
  });

  test('takes its view at the call, not at the first step', async () => {
    const store = await openSimulated();
    await store.insertBatch(batchOf(0, 10, () => 1));
    const before = [...store.entries()];
    const iterator = store.entriesByValue({});
    await store.insertBatch(batchOf(0, 20, () => 2));
    const entries: Entries = [];
    for await (const entry of iterator) entries.push(entry);
    expect(sorted(entries)).toEqual(before);
    await store.close();
  });

  test('supports a limit and an early end', async () => {
    const store = await openSimulated();
    await store.insertBatch(batchOf(0, 1000, () => 1));
    expect(await found(store, { limit: 0 })).toEqual([]);
    const some = await found(store, { ...volume(1), limit: 7 });
    expect(some).toHaveLength(7);
    expect(await found(store, { limit: 1000 })).toHaveLength(1000);
    const iterator = store.entriesByValue();
    for await (const [key] of iterator) {
      expect(store.has(key)).toBe(true);
      break;
    }
    expect(await iterator.next()).toEqual({ value: undefined, done: true });
    await store.close();
  });

  test('stops at a signal before and during it, and at a close', async () => {
    const store = await openSimulated();
    await store.insertBatch(batchOf(0, 1000, () => 1));
    const aborted = { code: 'LODESTORE_ABORTED', cause: 'enough' };
    expect(() => store.entriesByValue({ signal: AbortSignal.abort('enough') })).toThrow(
      expect.objectContaining(aborted),
    );
    const controller = new AbortController();
    const iterator = store.entriesByValue({ signal: controller.signal });
    await iterator.next();
    controller.abort('enough');
    await expect(iterator.next()).rejects.toMatchObject(aborted);
    expect(await iterator.next()).toEqual({ value: undefined, done: true });
    const other = store.entriesByValue();
    await other.next();
    await store.close();
    await expect(other.next()).rejects.toMatchObject({ code: 'LODESTORE_CLOSED' });
    expect(() => store.entriesByValue()).toThrow(
      expect.objectContaining({ code: 'LODESTORE_CLOSED' }),
    );
  });

  test.each<[string, object | null]>([
    ['gte must be', { gte: -1 }],
    ['gt must be', { gt: 1.5 }],
    ['lte must be', { lte: 2n ** 64n }],
    ['lt must be', { lt: '7' }],
    ['limit must be', { limit: -1 }],
    ['limit must be', { limit: '1' }],
    ['reverse is not an option', { reverse: true }],
    ['signal must be', { signal: {} }],
    ['options must be', null],
  ])('refused at once: %s', async (message, options) => {
    const store = await openSimulated();
    expect(() => store.entriesByValue(options as ValueRangeOptions)).toThrow(message);
    await store.close();
  });
});

const value = fc.oneof(
  fc.bigInt(1n, 40n),
  fc.constantFrom(2n ** 32n - 1n, 2n ** 32n, 2n ** 32n + 1n, 2n ** 64n - 1n, 2n ** 63n),
  fc.bigInt(1n, 2n ** 64n - 1n),
);
const row = fc.tuple(fc.bigInt(0n, 60n), fc.option(value, { freq: 4 }));
const rows = fc.array(row, { maxLength: 25 });
const bound = fc.oneof(value, fc.constantFrom(0n, 1n));
const range = fc.record({ gte: bound, gt: bound, lte: bound, lt: bound }, { requiredKeys: [] });

function batchOfRows(some: readonly (readonly [bigint, bigint | null])[]): WriteBatch {
  const updates = new WriteBatch();
  for (const [key, put] of some) {
    if (put === null) updates.delete(key);
    else updates.put(key, put);
  }
  return updates;
}

test('agrees with a plain filter for any layers, bounds and later commits', async () => {
  await fc.assert(
    fc.asyncProperty(rows, rows, rows, fc.array(range, { maxLength: 5 }), rows, async (...args) => {
      const [first, second, third, ranges, later] = args;
      const fs = new CrashFs({ trace: false });
      const writer = await openOn(fs, '/s', NO_MERGES);
      await writer.insertBatch(batchOfRows(first));
      await writer.merge();
      await writer.insertBatch(batchOfRows(second));
      await writer.close();
      const store = await openOn(fs, '/s', NO_MERGES);
      await store.insertBatch(batchOfRows(third));
      const wanted = ranges.map((one) => expected(store, one));
      const iterators = ranges.map((one) => store.entriesByValue(one));
      await store.insertBatch(batchOfRows(later));
      for (const [i, iterator] of iterators.entries()) {
        const entries: Entries = [];
        for await (const entry of iterator) {
          if (entries.length === 1) await store.merge();
          entries.push(entry);
        }
        expect(sorted(entries)).toEqual(wanted[i]);
      }
      await store.close();
    }),
    { numRuns: runs(150) },
  );
});
