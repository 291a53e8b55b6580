import { expect, test } from 'vitest';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { WriteBatch, type MetadataStore } from '../../src/index.ts';

/**
 * Keys 1 to 3 in the snapshot, 4 in a frozen layer, 5 in the live delta; 2 is deleted, 3 replaced.
 */
async function openLayers(): Promise<MetadataStore> {
  const fs = new CrashFs();
  const store = await openOn(fs, '/s');
  await store.insertBatch(
    [1, 2, 3].map((key) => ({ type: 'put', key, value: key * 10, data: of(key) })),
  );
  await store.merge();
  fs.faults.add({ call: 'open', error: 'EIO', path: /\.tmp$/ });
  await store.put(4, 2n ** 64n - 1n, of(4));
  await expect(store.merge()).rejects.toThrow(/merging into/);
  await store.insertBatch([
    { type: 'delete', key: 2 },
    { type: 'put', key: 3, value: 31 },
    { type: 'put', key: 5, value: 50, data: of(5) },
  ]);
  return store;
}

/** An array of `key` bytes with the value `key`. */
function of(key: number): Uint8Array {
  return new Uint8Array(key).fill(key);
}

const MOST = 2n ** 64n - 1n;

test('valueOf and getInto agree with get in every layer', async () => {
  const store = await openLayers();
  const target = new Uint8Array(8);
  for (const key of [0n, 1n, 2n, 3n, 4n, 5n, 6n, MOST]) {
    const record = store.get(key);
    expect(store.valueOf(key)).toBe(record?.value);
    target.fill(0xee);
    expect(store.getInto(key, target, 2)).toBe(record?.data.length);
    const expected = new Uint8Array(8).fill(0xee);
    expected.set(record?.data ?? [], 2);
    expect(target).toEqual(expected);
  }
  expect(store.valueOf(3)).toBe(31n);
  await store.close();
});

test('getInto copies nothing if the data do not fit', async () => {
  const store = await openLayers();
  const target = new Uint8Array(8).fill(0xee);
  expect(() => store.getInto(5, target, 4)).toThrow(
    new RangeError('the data of key 5 are 5 bytes; target has room for 4'),
  );
  expect(target).toEqual(new Uint8Array(8).fill(0xee));
  expect(store.getInto(5, target, 3)).toBe(5);
  expect(() => store.getInto(5, target, 9)).toThrow(/offset must be an integer from 0 to 8/);
  expect(() => store.getInto(5, [] as unknown as Uint8Array)).toThrow(
    /target must be a Uint8Array/,
  );
  await store.close();
});

test('getMany reads every key before a value overwrites it', async () => {
  const store = await openLayers();
  const words = BigUint64Array.of(1n, 31n, 5n, 0n);
  // The value of key 1 takes the place of the second key.
  expect(store.getMany(words.subarray(0, 3), { into: words.subarray(1) })).toEqual(
    BigUint64Array.of(10n, 0n, 50n),
  );
  await store.close();
});

test('getMany and hasMany answer for each key in its place', async () => {
  const store = await openLayers();
  const keys = BigUint64Array.of(5n, 0n, 2n, 4n, 5n, 1n, MOST);
  const expected = BigUint64Array.of(50n, 0n, 0n, MOST, 50n, 10n, 0n);
  expect(store.getMany(keys)).toEqual(expected);
  expect(store.hasMany(keys)).toEqual(Uint8Array.of(1, 0, 0, 1, 1, 1, 0));
  const { values, data } = store.getMany(keys, { data: true });
  expect(values).toEqual(expected);
  expect(data).toEqual([of(5), undefined, undefined, of(4), of(5), of(1), undefined]);
  const into = new BigUint64Array(7);
  expect(store.getMany(keys, { into })).toBe(into);
  expect(into).toEqual(expected);
  // A part of a larger buffer, and the keys' own array.
  const inPlace = new BigUint64Array([9n, ...keys]).subarray(1);
  expect(store.getMany(inPlace, { into: inPlace })).toEqual(expected);
  expect(store.getMany(new BigUint64Array(0))).toEqual(new BigUint64Array(0));
  await store.close();
});

test('wrong arguments are named', async () => {
  const store = await openLayers();
  const keys = BigUint64Array.of(1n);
  const cases: [() => unknown, RegExp][] = [
    [() => store.getMany([1n] as unknown as BigUint64Array), /keys must be a BigUint64Array/],
    [() => store.hasMany(new Uint8Array(8) as unknown as BigUint64Array), /keys must be/],
    [
      () => store.getMany(keys, { into: new BigUint64Array(2) }),
      /into must have 1 places; it has 2/,
    ],
    [() => store.getMany(keys, { date: true } as never), /options must not have a field "date"/],
    [() => store.getMany(keys, { data: 1 } as never), /options.data must be a boolean/],
    [() => (store as unknown as { valueOf(): unknown }).valueOf(), /key must be/],
  ];
  for (const [call, message] of cases) expect(call).toThrow(message);
  await store.close();
  expect(() => store.valueOf(1)).toThrow(/closed/);
  expect(() => store.getMany(keys)).toThrow(/closed/);
});

test('a batch resolves to its sequence, and an empty one to the preceding sequence', async () => {
  const store = await openOn(new CrashFs(), '/s');
  expect(await store.insertBatch([])).toEqual({ sequence: 0n });
  const inserted = await Promise.all([
    store.put(1, 1),
    store.put(2, 1, undefined, { ifValue: 9 }).catch(() => ({ sequence: -1n })),
    store.insertBatch([]),
    store.insertBatch(new WriteBatch().put(3, 3), { durability: 'deferred' }),
    store.delete(1),
    store.insertBatch(new WriteBatch()),
  ]);
  expect(inserted.map(({ sequence }) => sequence)).toEqual([1n, -1n, 1n, 2n, 3n, 3n]);
  expect(store.stats().lastSequence).toBe(3n);
  await store.merge();
  expect(await store.put(9, 9)).toEqual({ sequence: 4n });
  expect(await store.insertBatch([])).toEqual({ sequence: 4n });
  for await (const { sequence } of store.changes({ after: 3n })) {
    expect(sequence).toBe(4n);
    break;
  }
  await store.close();
});

test('put and delete refuse unknown options and write nothing', async () => {
  const store = await openOn(new CrashFs(), '/s');
  const refused: [Promise<unknown>, RegExp][] = [
    [
      store.put(1, 1, undefined, { durabilty: 'sync' } as object),
      /options must not have a field "durabilty"/,
    ],
    [store.delete(1, { ifAbsnt: true } as object), /options must not have a field "ifAbsnt"/],
    [
      store.insertBatch([], { ifAbsent: true } as object),
      /options must not have a field "ifAbsent"/,
    ],
    [store.put(1, 0), /value must not be 0/],
    [store.put(1, 1, undefined, null as never), /options must be an object/],
    [store.put(1, 1, undefined, { signal: 7 } as never), /signal/],
  ];
  for (const [promise, message] of refused) {
    await expect(promise).rejects.toThrow(message);
    await expect(promise).rejects.toMatchObject({ outcome: 'not-applied' });
  }
  expect(store.stats().lastSequence).toBe(0n);
  await store.close();
});
