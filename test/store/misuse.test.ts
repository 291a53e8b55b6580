import { inspect } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MetadataStore, restoreBackup, WriteBatch, type Update } from '../../src/index.ts';
import { ReplicatedStore, ShardedStore } from '../../src/replicated/index.ts';
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

test('a constructor says to call open', () => {
  for (const made of [MetadataStore, ReplicatedStore, ShardedStore]) {
    const Class = made as unknown as new (directory?: string) => unknown;
    const advice = `${made.name} has no public constructor: await ${made.name}.open(directory)`;
    expect(() => new Class('./x')).toThrow(advice);
    expect(() => new Class()).toThrow(advice);
  }
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

test.each([
  [{ signal: {} }, 'options.signal must be an AbortSignal'],
  [{ signal: null }, 'options.signal must be an AbortSignal'],
  [{ onProgress: 5 }, 'options.onProgress must be a function'],
  [{ readOnly: 'false' }, 'options.readOnly must be a boolean'],
  [{ createIfMissing: 0 }, 'options.createIfMissing must be a boolean'],
  [{ retain: [] }, 'options.retain must be an object'],
  [{ retain: { byte: 1 } }, 'options.retain must not have a field "byte"; known are bytes'],
])('open refuses %j before it creates anything', async (options, message) => {
  const empty = new CrashFs({ trace: false });
  await expect(openOn(empty, '/new', options as object)).rejects.toThrow(new TypeError(message));
  await expect(empty.stat('/new')).rejects.toMatchObject({ code: 'ENOENT' });
});

test.each([
  [{ signal: 5 }, 'options.signal must be an AbortSignal'],
  [{ onProgress: {} }, 'options.onProgress must be a function'],
])('a backup and a restore refuse %j', async (options, message) => {
  const refusal = new TypeError(message);
  await expect(store.backup('/b', options as object)).rejects.toThrow(refusal);
  await expect(restoreBackup('/b', '/r', options as object)).rejects.toThrow(refusal);
});

test('a backup refuses what is not clearly verified or not', async () => {
  await expect(store.backup('/b', { verify: 1 } as object)).rejects.toThrow(
    new TypeError('options.verify must be a boolean'),
  );
});

test('a batch without a valid durability is refused, and insertBatchSync with a signal', async () => {
  await expect(store.insertBatch([], { durability: null } as object)).rejects.toThrow(
    /options.durability of a batch must be/,
  );
  const { signal } = new AbortController();
  expect(() => store.insertBatchSync([], { signal } as object)).toThrow(
    /options must not have a field "signal"; known are durability/,
  );
});

test('data whose buffer is gone is refused, because it would be stored as empty', async () => {
  const data = new Uint8Array(8);
  structuredClone(data.buffer, { transfer: [data.buffer] });
  const buffer = Reflect.construct(ArrayBuffer, [8, { maxByteLength: 8 }]) as ArrayBuffer;
  const outside = new Uint8Array(buffer, 4, 4);
  (buffer as unknown as { resize: (lengthBytes: number) => void }).resize(2);
  for (const gone of [data, outside]) {
    await expect(store.put(9, 1, gone)).rejects.toThrow(/^the buffer of data was transferred/);
    const ifGone = store.put(9, 1, undefined, { ifData: gone });
    await expect(ifGone).rejects.toThrow(/^the buffer of ifData was transferred/);
    expect(() => store.getInto(1, gone)).toThrow(/^the buffer of target was transferred/);
  }
  expect(store.has(9)).toBe(false);
});

test('bounds of a deleteRange that are inherited are not left out', async () => {
  await store.insertBatch([11, 12, 13].map((key) => ({ type: 'put', key, value: 1 })));
  class Expired {
    readonly type = 'deleteRange';
    readonly lte = 13;
    get gte(): number {
      return 12;
    }
  }
  await store.insertBatch([new Expired()]);
  expect([...store.keys()]).toEqual([1n, 5n, 11n]);
  await store.delete(11);
});
