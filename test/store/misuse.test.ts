import { inspect } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MetadataStore, WriteBatch, type Update } from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';

let store: MetadataStore;
const fs = new CrashFs({ trace: false });

beforeAll(async () => {
  store = await openOn(fs, '/s');
  await store.put(1, 2);
  await store.put(5, 2);
});

afterAll(async () => store.close());

test('a field that a call for one key would ignore is refused', () => {
  expect(() => store.firstKey({ reverse: true } as object)).toThrow(
    /options must not have a field "reverse"; known are gte, gt, lte, lt/,
  );
  const space = store.keyspace({ prefix: 0, bits: 8 });
  expect(() => space.lastKey({ limit: 1 } as object)).toThrow(/field "limit"/);
  expect([store.firstKey({ gt: 1 }), space.lastKey({ lt: 5 })]).toEqual([5n, 1n]);
});

test('what is no batch is named, with what to do', async () => {
  async function* later(): AsyncGenerator<Update> {
    yield await Promise.resolve({ type: 'put', key: 1, value: 1 });
  }
  const asBatch = (value: unknown): Iterable<Update> => value as Iterable<Update>;
  await expect(store.insertBatch(asBatch(later()))).rejects.toThrow(
    /collect an async iterable in an array first/,
  );
  await expect(store.insertBatch(asBatch(new Map([[1, 2]])))).rejects.toThrow(
    /an update must be \{ type: 'put', .* 'deleteRange', gte, lt \}/,
  );
  expect(store.size).toBe(2);
});

test('an array is no options', async () => {
  await expect(store.put(1, 1, undefined, [] as object)).rejects.toThrow(
    /options must be an object/,
  );
  await expect(openOn(fs, '/other', [] as object)).rejects.toThrow(/options must be an object/);
});

test('the text of a file: URL does not become the name of a directory', async () => {
  await expect(MetadataStore.open('file:///somewhere/meta')).rejects.toThrow(
    /directory is the text of a URL, not a path; pass new URL\(text\)/,
  );
});

test('a read-only store refuses insertBatchSync as read-only', async () => {
  const reader = await openOn(fs, '/s', { readOnly: true });
  expect(() => reader.insertBatchSync([{ type: 'put', key: 1, value: 1 }])).toThrow(
    expect.objectContaining({ code: 'LODESTORE_READ_ONLY', outcome: 'not-applied' }),
  );
  await reader.close();
});

test('keyspaces, snapshots and batches show what they are', () => {
  using snapshot = store.snapshot();
  const space = store.keyspace({ prefix: 3, bits: 4 });
  const batch = new WriteBatch().put(1, 2);
  expect([inspect(space), inspect(batch)]).toEqual([
    "Keyspace { prefix: '3', bits: 4 }",
    'WriteBatch { size: 1, byteLength: 20 }',
  ]);
  expect(inspect(snapshot)).toBe("StoreSnapshot { lastSequence: '2', isReleased: false }");
  const inner = snapshot.keyspace({ prefix: 3, bits: 4 });
  expect(JSON.stringify([snapshot, space, inner, batch])).toBe(
    '[{"lastSequence":"2","isReleased":false},{"prefix":"3","bits":4},{"prefix":"3","bits":4},{"size":1,"byteLength":20}]',
  );
});
