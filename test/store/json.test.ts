import { inspect } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { jsonForm, type MetadataStore } from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';

const KEY = 2n ** 63n + 1n;

let store: MetadataStore;
const fs = new CrashFs({ trace: false });

beforeAll(async () => {
  store = await openOn(fs, '/s');
  await store.put(KEY, KEY, new Uint8Array([1, 2, 255]));
});

afterAll(async () => store.close());

function roundTrip(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

test('a record has its value as decimal digits and its data as base64, from every layer', async () => {
  const expected = { value: KEY.toString(), data: 'AQL/' };
  expect(roundTrip(store.get(KEY))).toEqual(expected);
  expect(roundTrip([...store.entries()].map(([, record]) => record))).toEqual([expected]);
  await store.merge();
  expect(roundTrip(store.get(KEY))).toEqual(expected);
  expect(roundTrip(jsonForm([...store.entries()]))).toEqual([[KEY.toString(), expected]]);
});

test('figures, reports and results of batches keep all digits', async () => {
  const { sequence } = await store.put(1, 2);
  expect(roundTrip(await store.put(1, 2))).toEqual({ sequence: (sequence + 1n).toString() });
  const stats = roundTrip(store.stats()) as Record<string, unknown>;
  expect(stats).toMatchObject({
    directory: '/s',
    lastSequence: store.stats().lastSequence.toString(),
  });
  expect(stats['recovery']).toEqual(roundTrip(store.recovery));
  expect(roundTrip(store.recovery)).toMatchObject({ lastSequence: '0' });
  const hash = await store.contentHash();
  expect(roundTrip(hash)).toEqual({ ...hash, lastSequence: hash.lastSequence.toString() });
  const report = await store.backup('/copy');
  expect(roundTrip(report)).toMatchObject({ lastSequence: report.lastSequence.toString() });
});

test('an error has name, code and fields, and a copy of its enumerable fields can be stringified', async () => {
  const error: unknown = await store.put(KEY, 1, undefined, { ifAbsent: true }).catch((e) => e);
  expect(roundTrip(error)).toMatchObject({
    name: 'ConditionFailedError',
    code: 'LODESTORE_CONDITION_FAILED',
    outcome: 'not-applied',
    key: KEY.toString(),
    found: KEY.toString(),
  });
  expect(roundTrip({ ...(error as object) })).toMatchObject({ code: 'LODESTORE_CONDITION_FAILED' });
});

test('bytes, causes and values that JSON lacks are converted', () => {
  const cause = Object.assign(new Error('why'), { at: 7n });
  expect(jsonForm(new Error('what', { cause }))).toEqual({
    name: 'Error',
    message: 'what',
    cause: { name: 'Error', message: 'why', at: '7' },
  });
  expect(jsonForm({ big: 1n, bytes: new Uint8Array([0]), many: new BigUint64Array([3n]) })).toEqual(
    {
      big: '1',
      bytes: 'AA==',
      many: ['3'],
    },
  );
});

test("console.log shows a store's directory and contents", () => {
  expect(roundTrip(store)).toMatchObject({ directory: '/s', state: 'open', records: 2 });
  expect(inspect(store)).toMatch(/^MetadataStore \{\s+directory: '\/s',\s+state: 'open'/);
});

test('disposal ends an iterator and a feed', async () => {
  const iterator = store.entries();
  iterator.next();
  iterator[Symbol.dispose]();
  expect(iterator.next().done).toBe(true);
  const feed = store.changes();
  await feed[Symbol.asyncDispose]();
  expect((await feed.next()).done).toBe(true);
});
