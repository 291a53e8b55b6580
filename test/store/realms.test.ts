import vm from 'node:vm';
import { expect, test, vi } from 'vitest';
import { ConditionFailedError, WriteBatch, type Update } from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';

const realm = vm.createContext({});

function inRealm(code: string): unknown {
  return vm.runInContext(code, realm);
}

test('bytes, arrays and signals of another realm are accepted', async () => {
  const store = await openOn(new CrashFs(), '/s');
  const data = inRealm('new Uint8Array([1, 2, 3])') as Uint8Array;
  await store.insertBatch([{ type: 'put', key: 1, value: 1, data }]);
  await store.insertBatch(new WriteBatch().put(2, 2, data));
  await store.insertBatch(inRealm('[{ type: "put", key: 3, value: 3 }]') as Update[]);
  const signal = inRealm(
    '({ aborted: false, addEventListener() {}, removeEventListener() {} })',
  ) as AbortSignal;
  await store.insertBatch([{ type: 'put', key: 4, value: 4 }], { signal });
  expect([...store.keys()]).toEqual([1n, 2n, 3n, 4n]);
  expect(store.get(1)!.data).toEqual(Uint8Array.of(1, 2, 3));
  expect(store.get(2)!.data).toEqual(Uint8Array.of(1, 2, 3));
  await store.close();
});

test('values that are not bytes are refused in any realm', () => {
  for (const data of [
    'new Uint16Array(3)',
    'new ArrayBuffer(3)',
    'new DataView(new ArrayBuffer(3))',
  ])
    expect(() => new WriteBatch().put(1, 1, inRealm(data) as Uint8Array)).toThrow(
      'data must be a Uint8Array',
    );
});

test('a WriteBatch of a second copy of the package is read at the call', async () => {
  vi.resetModules();
  const copy = await import('../../src/index.ts');
  expect(copy.WriteBatch).not.toBe(WriteBatch);
  const store = await openOn(new CrashFs(), '/s', { queueBatches: 1 });
  await store.insertBatch([{ type: 'put', key: 9, value: 9 }]);
  const batch = new copy.WriteBatch()
    .put(2n ** 64n - 1n, 2n ** 63n, Uint8Array.of(7))
    .put(5, 5, new Uint8Array(1000).fill(5), { ifAbsent: true })
    .delete(9, { ifValue: 9 });
  const first = store.insertBatch(batch);
  const second = store.insertBatch(batch.clear().put(1, 1));
  batch.put(2, 2);
  await Promise.all([first, second]);
  expect([...store.keys()]).toEqual([1n, 5n, 2n ** 64n - 1n]);
  expect(store.get(2n ** 64n - 1n)).toEqual({ value: 2n ** 63n, data: Uint8Array.of(7) });
  expect(store.get(5)!.data).toEqual(new Uint8Array(1000).fill(5));
  const failing = new copy.WriteBatch().put(7, 7).put(5, 6, undefined, { ifAbsent: true });
  const error = await store.insertBatch(failing).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ConditionFailedError);
  expect(error).toMatchObject({ index: 1, key: 5n, found: 5n });
  await store.close();
});
