import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  WriteBatch,
  type KeyspaceOptions,
  type MetadataStore,
  type ReadableKeyspace,
  type StoreRecord,
} from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { contentHashOf } from '../support/independent-content-hash.ts';

const NO_MERGES = { mergeBytes: 2 ** 40 };

function openSimulated(fs = new CrashFs({ trace: false })): Promise<MetadataStore> {
  return openOn(fs, '/s', NO_MERGES);
}

/** The records of a keyspace, filtered from the whole store. */
function expected(
  store: MetadataStore,
  { prefix, bits }: KeyspaceOptions,
): [bigint, StoreRecord][] {
  const free = BigInt(64 - bits);
  return [...store.entries()]
    .filter(([key]) => key >> free === BigInt(prefix))
    .map(([key, record]) => [key & ((1n << free) - 1n), record]);
}

async function allOf<T>(iterator: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of iterator) found.push(one);
  return found;
}

function sorted<T>(entries: [bigint, T][]): [bigint, T][] {
  return entries.toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** All reads of a keyspace agree with the records under its prefix. */
async function requireView(store: MetadataStore, options: KeyspaceOptions): Promise<number> {
  const space: ReadableKeyspace = store.keyspace(options);
  const records = expected(store, options);
  expect([...space]).toEqual(records);
  expect([...space.entries({ reverse: true, limit: 3 })]).toEqual(records.toReversed().slice(0, 3));
  expect([...space.keys()]).toEqual(records.map(([key]) => key));
  expect([...space.values()]).toEqual(records.map(([, record]) => record));
  expect(await space.count()).toBe(records.length);
  expect(sorted(await allOf(space.entriesByValue({ gte: 3, lt: 500 })))).toEqual(
    records.filter(([, { value }]) => value >= 3n && value < 500n),
  );
  const hashed = records.map(([key, record]) => ({ key: space.toKey(key), ...record }));
  expect(await space.contentHash()).toMatchObject({
    hash: contentHashOf(hashed),
    records: records.length,
  });
  const keys = BigUint64Array.from([0n, 1n, ...records.map(([key]) => key)]);
  const found = [...keys].map((key) => space.get(key));
  expect(found.slice(2)).toEqual(records.map(([, record]) => record));
  expect([...keys].map((key) => space.valueOf(key))).toEqual(found.map((one) => one?.value));
  expect([...space.getMany(keys)]).toEqual(found.map((one) => one?.value ?? 0n));
  expect(space.getMany(keys, { data: true }).data).toEqual(found.map((one) => one?.data));
  expect([...space.hasMany(keys)]).toEqual(found.map((one) => (one === undefined ? 0 : 1)));
  expect([...keys].map((key) => space.has(key))).toEqual(found.map((one) => one !== undefined));
  return records.length;
}

/** A store with records in the snapshot, recovered rows, a frozen delta, and the live one. */
async function openLayers(prefixes: readonly bigint[]): Promise<MetadataStore> {
  const fs = new CrashFs({ trace: false });
  const before = await openSimulated(fs);
  const add = async (store: MetadataStore, from: number, to: number): Promise<void> => {
    const batch = new WriteBatch();
    for (const prefix of prefixes) {
      for (let key = from; key < to; key++) {
        const full = (prefix << 48n) | BigInt(key);
        if (key % 7 === 3) batch.delete(full);
        else batch.put(full, BigInt(from + (key % 900) + 1), Uint8Array.of(key & 255));
      }
    }
    await store.insertBatch(batch);
  };
  await add(before, 0, 2500);
  await before.merge();
  await add(before, 100, 200);
  await before.close();
  const store = await openSimulated(fs);
  fs.faults.add({ call: 'open', error: 'EIO', path: /\.tmp$/ });
  await add(store, 150, 250);
  await expect(store.merge()).rejects.toThrow(/merging into/);
  await add(store, 240, 300);
  return store;
}

describe('a keyspace', () => {
  test('shows the records under its prefix in every layer', async () => {
    const store = await openLayers([0n, 0x7fffn, 0x8000n, 0xffffn]);
    const counts: number[] = [];
    for (const options of [
      { prefix: 0, bits: 1 },
      { prefix: 1n, bits: 1 },
      { prefix: 0x7fff, bits: 16 },
      { prefix: 0x8000n, bits: 16 },
      { prefix: 0xffffn << 16n, bits: 32 },
      { prefix: 0x8000n << 40n, bits: 56 },
      { prefix: 5, bits: 5 },
      { prefix: (1n << 63n) - 1n, bits: 63 },
    ]) {
      counts.push(await requireView(store, options));
    }
    const each = store.size / 4;
    expect(counts).toEqual([2 * each, 2 * each, each, each, each, 219, 0, 0]);
    await store.close();
  });

  test('stays within its bounds at both ends of a range', async () => {
    const store = await openSimulated();
    const spaces = [0n, 1n, 15n].map((prefix) => store.keyspace({ prefix, bits: 4 }));
    const last = 2n ** 60n - 1n;
    const batch = new WriteBatch();
    for (const space of spaces) batch.in(space).put(0, 1).put(5, 2).put(last, 3);
    await store.insertBatch(batch);
    for (const space of spaces) {
      expect([...space.keys({ gte: 5 })]).toEqual([5n, last]);
      expect([...space.keys({ lte: 5 })]).toEqual([0n, 5n]);
      expect([...space.keys({ gt: last })]).toEqual([]);
      expect([...space.keys({ lt: 0 })]).toEqual([]);
      expect([...space.keys({ gt: 0, lt: last, reverse: true })]).toEqual([5n]);
      expect(await space.count({ gt: 0 })).toBe(2);
    }
    expect(store.size).toBe(9);
    await store.close();
  });

  test('takes keys without the prefix and refuses keys with more bits', async () => {
    const store = await openSimulated();
    const space = store.keyspace({ prefix: 3, bits: 4 });
    const tooLong = 2n ** 60n;
    const wrong =
      /must have at most 60 bits, without the keyspace's prefix; it is 1152921504606846976/;
    expect(() => space.toKey(tooLong)).toThrow(RangeError);
    expect(() => space.toKey(tooLong)).toThrow(wrong);
    expect(() => space.get(tooLong)).toThrow(wrong);
    expect(() => space.has(tooLong)).toThrow(wrong);
    expect(() => space.valueOf(tooLong)).toThrow(wrong);
    expect(() => space.getInto(tooLong, new Uint8Array(1))).toThrow(wrong);
    expect(() => space.getMany(BigUint64Array.of(tooLong))).toThrow(wrong);
    expect(() => space.hasMany(BigUint64Array.of(tooLong))).toThrow(wrong);
    for (const bound of ['gte', 'gt', 'lte', 'lt']) {
      expect(() => space.entries({ [bound]: tooLong })).toThrow(`${bound} must have at most 60`);
      await expect(space.count({ [bound]: tooLong })).rejects.toThrow(RangeError);
    }
    const batch = new WriteBatch();
    expect(() => batch.in(space).put(tooLong, 1)).toThrow(wrong);
    expect(() => batch.in(space).delete(tooLong)).toThrow(wrong);
    expect(batch.size).toBe(0);
    await expect(space.put(tooLong, 1)).rejects.toMatchObject({
      message: expect.stringMatching(wrong) as string,
      outcome: 'not-applied',
    });
    await expect(space.delete(tooLong)).rejects.toThrow(wrong);
    expect(() => space.get('1' as never)).toThrow(TypeError);
    expect(space.toKey(7)).toBe((3n << 60n) | 7n);
    expect(space.fromKey((3n << 60n) | 7n)).toBe(7n);
    expect(space.fromKey(7)).toBeUndefined();
    expect([space.prefix, space.bits]).toEqual([3n, 4]);
    await store.close();
  });

  test('names the wrong option', async () => {
    const store = await openSimulated();
    const refused = (options: unknown): string => {
      try {
        store.keyspace(options as KeyspaceOptions);
      } catch (error) {
        return String(error);
      }
      return 'taken';
    };
    expect(refused({ prefix: 16, bits: 4 })).toBe(
      'RangeError: prefix must have at most 4 bits; it is 16',
    );
    expect(refused({ prefix: 0, bits: 0 })).toMatch(/RangeError: bits must be an integer from 1/);
    expect(refused({ prefix: 0, bits: 64 })).toMatch(/^RangeError: bits/);
    expect(refused({ prefix: 0, bits: 4n })).toMatch(/^TypeError: bits must be a number/);
    expect(refused({ prefix: -1, bits: 4 })).toMatch(/^RangeError: prefix/);
    expect(refused({ prefix: 1, bits: 4, bit: 4 })).toMatch(/must not have a field "bit"/);
    expect(refused(undefined)).toMatch(/^TypeError: options must be an object/);
    expect(() => new WriteBatch().in({} as never)).toThrow(/in\(\) needs a keyspace/);
    await store.close();
    expect(() => store.keyspace({ prefix: 1, bits: 4 }).get(1)).toThrow(/closed/);
  });
});

describe('writes to keyspaces', () => {
  test('one batch changes several keyspaces, or none', async () => {
    const store = await openSimulated();
    const objects = store.keyspace({ prefix: 1, bits: 4 });
    const volumes = store.keyspace({ prefix: 2, bits: 4 });
    await volumes.put(9, 1);
    const batch = new WriteBatch();
    batch.in(objects).put(1, 10, Uint8Array.of(1), { ifAbsent: true }).delete(2);
    batch.in(volumes).put(9, 2, undefined, { ifValue: 1 });
    batch.put(77, 7);
    expect(batch.size).toBe(4);
    await store.insertBatch(batch);
    expect(objects.get(1)).toEqual({ value: 10n, data: Uint8Array.of(1) });
    expect(volumes.valueOf(9)).toBe(2n);
    expect(store.valueOf(77)).toBe(7n);
    batch.clear();
    batch.in(objects).put(5, 5);
    batch.in(volumes).put(9, 3, undefined, { ifValue: 1 });
    await expect(store.insertBatch(batch)).rejects.toMatchObject({
      code: 'LODESTORE_CONDITION_FAILED',
      key: volumes.toKey(9),
      index: 1,
    });
    expect(objects.has(5)).toBe(false);
    expect(store.size).toBe(3);
    await store.close();
  });

  test('conditions apply to the key in the keyspace', async () => {
    const store = await openSimulated();
    const space = store.keyspace({ prefix: 1, bits: 1 });
    // The same short key in the other half does not count.
    await store.put(1, 1000, Uint8Array.of(9));
    await space.put(1, 5, Uint8Array.of(1), { ifAbsent: true });
    await expect(space.put(1, 5, undefined, { ifAbsent: true })).rejects.toThrow(
      /was not applied: update 0 requires/,
    );
    await expect(space.put(1, 4, undefined, { ifNewer: true })).rejects.toThrow(
      /was not applied: update 0 requires/,
    );
    await space.put(1, 6, Uint8Array.of(2), { ifNewer: true });
    await space.put(1, 7, Uint8Array.of(3), { ifData: Uint8Array.of(2), ifValue: [6, 9] });
    await expect(space.delete(1, { ifData: Uint8Array.of(2) })).rejects.toThrow(
      /was not applied: update 0 requires/,
    );
    await expect(space.put(1, 8, undefined, { ifValu: 7 } as never)).rejects.toThrow(TypeError);
    expect(await space.delete(1, { ifValue: 7 })).toMatchObject({ sequence: 5n });
    expect(await allOf(space.entriesByValue())).toEqual([]);
    expect(store.size).toBe(1);
    await store.close();
  });

  test('the keyspaces of a read-only store refuse writes', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openSimulated(fs);
    await store.keyspace({ prefix: 1, bits: 4 }).put(5, 6);
    await store.close();
    const reader = await openOn(fs, '/s', { readOnly: true });
    const space = reader.keyspace({ prefix: 1, bits: 4 });
    expect([...space.keys()]).toEqual([5n]);
    await expect(space.put(1, 1)).rejects.toMatchObject({ code: 'LODESTORE_READ_ONLY' });
    await reader.close();
  });
});

test('overlapping keyspaces show the same records', async () => {
  const key = fc.oneof(fc.bigInt(0n, 40n), fc.bigInt(0n, 2n ** 64n - 1n));
  const update = fc.record({
    key,
    value: fc.bigInt(0n, 600n),
    lengthBytes: fc.nat(20),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(update, { maxLength: 30 }), { maxLength: 5 }),
      fc.array(fc.record({ sample: key, bits: fc.integer({ min: 1, max: 63 }) }), { maxLength: 3 }),
      async (batches, spaces) => {
        const store = await openSimulated();
        for (const [i, updates] of batches.entries()) {
          const batch = new WriteBatch();
          for (const { key: full, value, lengthBytes } of updates) {
            const space = store.keyspace({ prefix: full >> 54n, bits: 10 });
            const short = full & (2n ** 54n - 1n);
            if (value === 0n) batch.in(space).delete(short);
            else batch.in(space).put(short, value, new Uint8Array(lengthBytes));
          }
          await store.insertBatch(batch);
          if (i === 1) await store.merge();
        }
        for (const { sample, bits } of spaces) {
          const found = await requireView(store, { prefix: sample >> BigInt(64 - bits), bits });
          expect(found).toBeLessThanOrEqual(store.size);
        }
        await store.close();
      },
    ),
    { numRuns: 15 },
  );
});
