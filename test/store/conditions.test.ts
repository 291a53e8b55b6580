import { expect, test } from 'vitest';
import {
  ConditionFailedError,
  StoreFullError,
  StorePoisonedError,
  WriteBatch,
  type MetadataStore,
  type Update,
} from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';

async function openFresh(): Promise<{ fs: CrashFs; store: MetadataStore }> {
  const fs = new CrashFs();
  return { fs, store: await openOn(fs, '/s') };
}

/** The rejection; undefined if the batch is applied. */
async function failureOf(promise: Promise<unknown>): Promise<ConditionFailedError | undefined> {
  return promise.then(
    () => undefined,
    (error: unknown) => {
      expect(error).toBeInstanceOf(ConditionFailedError);
      return error as ConditionFailedError;
    },
  );
}

function put(key: number, value: number, condition: object = {}): Update {
  return { type: 'put', key, value, ...condition };
}

function del(key: number, condition: object = {}): Update {
  return { type: 'del', key, ...condition };
}

function values(store: MetadataStore): [bigint, bigint][] {
  return [...store.entries()].map(([key, { value }]) => [key, value]);
}

test('a batch whose conditions hold is applied; a failed one changes nothing and names the failure', async () => {
  const { store } = await openFresh();
  await store.insertBatch([put(1, 10), put(2, 20)]);
  await store.insertBatch([put(1, 11, { ifValue: 10 }), put(3, 30, { ifAbsent: true })]);
  const before = store.stats().lastSequence;
  const error = await failureOf(
    store.insertBatch([
      put(9, 90),
      put(1, 12, { ifValue: 11n }),
      del(2, { ifValue: 21 }),
      put(1, 13, { ifValue: 1 }),
    ]),
  );
  expect(error).toMatchObject({
    code: 'LODESTORE_CONDITION_FAILED',
    outcome: 'not-applied',
    index: 2,
    key: 2n,
    expected: 21n,
    found: 20n,
  });
  expect(error!.message).toContain('update 2 requires value 21 of key 2, but it has value 20');
  expect(values(store)).toEqual([
    [1n, 11n],
    [2n, 20n],
    [3n, 30n],
  ]);
  expect(store.stats().lastSequence).toBe(before);
  expect(store.stats().commits.batches).toBe(2);
  await store.close();
});

test('a key without a record is found as undefined, and one with a record is not absent', async () => {
  const { store } = await openFresh();
  await store.insertBatch([put(1, 10)]);
  expect(await failureOf(store.insertBatch([put(7, 1, { ifValue: 5 })]))).toMatchObject({
    expected: 5n,
    found: undefined,
  });
  expect(await failureOf(store.insertBatch([del(1, { ifAbsent: true })]))).toMatchObject({
    expected: undefined,
    found: 10n,
  });
  await store.insertBatch([put(1, 11, { ifAbsent: false, ifValue: undefined })]);
  await store.insertBatch([del(1, { ifValue: 11 })]);
  await store.insertBatch([put(1, 12, { ifAbsent: true })]);
  expect(values(store)).toEqual([[1n, 12n]]);
  await store.close();
});

test('conditions see every layer of the table: live, frozen by a failed merge, and merged', async () => {
  const { fs, store } = await openFresh();
  await store.insertBatch([put(1, 10), put(2, 20), put(3, 30)]);
  await store.merge();
  fs.faults.add({ call: 'open', error: 'EIO', path: /\.tmp$/ });
  await store.insertBatch([put(2, 21), del(3)]);
  await expect(store.merge()).rejects.toThrow(/merging into/);
  await store.insertBatch([put(4, 40)]);
  await store.insertBatch([
    put(1, 11, { ifValue: 10 }),
    put(2, 22, { ifValue: 21 }),
    put(3, 31, { ifAbsent: true }),
    put(4, 41, { ifValue: 40 }),
    put(5, 50, { ifAbsent: true }),
  ]);
  expect(await failureOf(store.insertBatch([put(3, 1, { ifAbsent: true })]))).toBeDefined();
  await store.close();
});

test('a batch is judged against the applied batches before it in its group, and only those', async () => {
  const { store } = await openFresh();
  await store.insertBatch([put(1, 1)]);
  const groups = store.stats().commits.groups;
  const results = await Promise.all([
    failureOf(store.insertBatch([put(1, 2, { ifValue: 1 })])),
    failureOf(store.insertBatch([put(1, 3, { ifValue: 1 })])),
    failureOf(store.insertBatch([put(1, 4, { ifValue: 2 }), put(1, 5)])),
    failureOf(store.insertBatch([put(1, 6, { ifValue: 4 })])),
    failureOf(store.insertBatch([del(1)])),
    failureOf(store.insertBatch([put(1, 7, { ifAbsent: true })])),
  ]);
  expect(results.map((error) => error?.found)).toEqual([
    undefined,
    2n,
    undefined,
    5n,
    undefined,
    undefined,
  ]);
  expect(store.get(1)?.value).toBe(7n);
  expect(store.stats().commits.groups).toBe(groups + 1);
  expect(store.stats().lastSequence).toBe(5n);
  await store.close();
});

test('conditions are judged against the state before the batch, not against its own updates', async () => {
  const { store } = await openFresh();
  await store.insertBatch([put(1, 1)]);
  await store.insertBatch([put(1, 2, { ifValue: 1 }), put(1, 3, { ifValue: 1 })]);
  expect(store.get(1)?.value).toBe(3n);
  const error = await failureOf(store.insertBatch([put(1, 4), put(1, 5, { ifValue: 4 })]));
  expect(error).toMatchObject({ index: 1, found: 3n });
  await store.close();
});

test('a WriteBatch has the same conditions, and clear removes them', async () => {
  const { store } = await openFresh();
  const data = Uint8Array.of(1, 2);
  const batch = new WriteBatch()
    .put(1, 1, data, { ifAbsent: true })
    .put(2, 2, undefined, { ifAbsent: true });
  await store.insertBatch(batch);
  expect(store.get(1)).toEqual({ value: 1n, data });
  expect(await failureOf(store.insertBatch(batch))).toMatchObject({ index: 0, key: 1n });
  expect(batch.clear().byteLength).toBe(0);
  await store.insertBatch(batch.put(1, 3).delete(2, { ifValue: 2 }));
  expect(values(store)).toEqual([[1n, 3n]]);
  await store.close();
});

test('a WriteBatch changed after its insert keeps the conditions that it had', async () => {
  const { store } = await openFresh();
  const batch = new WriteBatch().put(1, 1, undefined, { ifAbsent: true });
  const first = failureOf(store.insertBatch(batch));
  for (let key = 2; key < 40; key++) batch.put(key, 1, undefined, { ifValue: 99 });
  const second = failureOf(store.insertBatch(batch));
  batch.clear().put(1, 7, undefined, { ifValue: 1 });
  const third = failureOf(store.insertBatch(batch));
  expect(await first).toBeUndefined();
  expect(await second).toMatchObject({ index: 0, key: 1n, found: 1n });
  expect(await third).toBeUndefined();
  expect(values(store)).toEqual([[1n, 7n]]);
  await store.close();
});

test('wrong conditions are refused and leave the batch unchanged', async () => {
  const { store } = await openFresh();
  const cases: [unknown, typeof TypeError | typeof RangeError, RegExp][] = [
    [{ ifValue: 0 }, RangeError, /ifValue must not be 0.*ifAbsent/],
    [{ ifValue: -1 }, RangeError, /ifValue/],
    [{ ifValue: 2n ** 64n }, RangeError, /ifValue/],
    [{ ifValue: '1' }, TypeError, /ifValue/],
    [{ ifAbsent: 1 }, TypeError, /ifAbsent must be a boolean/],
    [{ ifValue: 1, ifAbsent: true }, TypeError, /ifValue and ifAbsent exclude each other/],
    [{ ifData: new Uint8Array(1), ifAbsent: true }, TypeError, /ifData and ifAbsent exclude/],
    [{ ifValue: [] }, RangeError, /ifValue must name at least one value/],
    [{ ifValue: [1, 0] }, RangeError, /ifValue must not be 0/],
    [{ ifData: 'abc' }, TypeError, /ifData must be a Uint8Array/],
    [{ ifNewer: 1 }, TypeError, /ifNewer must be a boolean/],
    [null, TypeError, /a condition must be/],
    [7, TypeError, /a condition must be/],
  ];
  const batch = new WriteBatch().put(1, 1);
  for (const [condition, Class, message] of cases) {
    const wrong = condition as { ifAbsent: true };
    expect(() => batch.put(2, 2, undefined, wrong)).toThrow(message);
    expect(() => batch.delete(2, wrong)).toThrow(Class);
    expect(batch.size).toBe(1);
    if (typeof condition !== 'object' || condition === null) continue;
    const update = { type: 'put', key: 3, value: 3, ...condition } as Update;
    await expect(store.insertBatch([update])).rejects.toThrow(message);
    await expect(store.insertBatch([update])).rejects.toMatchObject({ outcome: 'not-applied' });
  }
  expect(() => batch.put(2, 0, undefined, { ifAbsent: true })).toThrow(/value must not be 0/);
  await store.insertBatch(batch);
  expect(values(store)).toEqual([[1n, 1n]]);
  await store.close();
});

test('an unknown field of an update is refused, because a misspelt condition would be ignored', async () => {
  const { store } = await openFresh();
  const cases: [object, RegExp][] = [
    [{ type: 'put', key: 1, value: 1, ifvalue: 2 }, /an update must not have the field "ifvalue"/],
    [{ type: 'put', key: 1, value: 1, expires: 2 }, /an update must not have the field "expires"/],
    [{ type: 'delete', key: 1, value: 1 }, /a delete must not have the field value/],
    [{ type: 'delete', key: 1, ifNewer: true }, /ifNewer is not allowed on a delete/],
    [{ type: 'remove', key: 1 }, /must be 'put', 'delete' or 'deleteRange', not remove/],
  ];
  for (const [update, message] of cases) {
    const refused = store.insertBatch([put(2, 2), update as Update]);
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.toMatchObject({ name: 'TypeError', outcome: 'not-applied' });
  }
  expect(() => new WriteBatch().put(1, 1, undefined, { ifabsent: true } as object)).toThrow(
    /a condition must not have a field "ifabsent"/,
  );
  expect(store.size).toBe(0);
  await store.close();
});

test('a failure names the condition and the allowed values', async () => {
  const { store } = await openFresh();
  await store.put(1, 5, Uint8Array.of(7));
  const failures: [Promise<unknown>, object, RegExp][] = [
    [
      store.put(1, 6, undefined, { ifValue: [3, 4] }),
      { condition: 'ifValue', allowed: [3n, 4n], expected: undefined, found: 5n },
      /requires value 3 or 4 of key 1/,
    ],
    [
      store.put(1, 5, undefined, { ifNewer: true }),
      { condition: 'ifNewer', allowed: [], found: 5n },
      /requires a value below its own/,
    ],
    [
      store.delete(1, { ifData: Uint8Array.of(8) }),
      { condition: 'ifData', allowed: [], found: 5n },
      /requires certain data of key 1, but it has other data, and value 5/,
    ],
    [
      store.delete(1, { ifAbsent: true }),
      { condition: 'ifAbsent', allowed: [], expected: undefined, found: 5n },
      /requires no record/,
    ],
  ];
  for (const [refused, fields, message] of failures) {
    const error = await failureOf(refused);
    expect(error).toMatchObject(fields);
    expect(error!.message).toMatch(message);
  }
  await store.put(1, 6, undefined, { ifValue: [3, 5], ifData: Uint8Array.of(7) });
  await store.put(1, 7, undefined, { ifNewer: true });
  await store.put(2, 1, undefined, { ifNewer: true });
  expect(values(store)).toEqual([
    [1n, 7n],
    [2n, 1n],
  ]);
  await store.close();
});

test('a failure is reported only when the batches that it depends on are durable', async () => {
  const { fs, store } = await openFresh();
  await store.insertBatch([put(1, 1)]);
  const order: string[] = [];
  let atFailure = -1;
  const before = fs.crashPointCount;
  const writes = [
    store.insertBatch([put(1, 2)]).then(() => order.push('applied')),
    failureOf(store.insertBatch([put(1, 3, { ifValue: 1 })])).then((error) => {
      atFailure = fs.crashPointCount;
      order.push(`found ${error!.found}`);
    }),
  ];
  await Promise.all(writes);
  expect(order).toEqual(['applied', 'found 2']);
  expect(atFailure).toBeGreaterThan(before);
  const recovered = await openOn(fs.minimalCrash(), '/s');
  expect(recovered.get(1)?.value).toBe(2n);
  await recovered.close();
  await store.close();
});

test('the batches that a failure depends on are durable when it is reported, deferred ones too', async () => {
  const { fs, store } = await openFresh();
  await store.insertBatch([put(1, 1)]);
  await store.insertBatch([put(1, 2)], { durability: 'deferred' });
  expect(await failureOf(store.insertBatch([put(1, 3, { ifValue: 1 })]))).toMatchObject({
    found: 2n,
  });
  const recovered = await openOn(fs.minimalCrash(), '/s');
  expect(recovered.get(1)?.value).toBe(2n);
  await recovered.close();
  await store.close();
});

test('a group without space rejects its refused batches too, because their state is unknown', async () => {
  const { fs, store } = await openFresh();
  await store.insertBatch([put(1, 1)]);
  fs.faults.add({ call: 'write', error: 'ENOSPC', path: /log_0*1$/ });
  const results = await Promise.allSettled([
    store.insertBatch([put(1, 2)]),
    store.insertBatch([put(1, 3, { ifValue: 1 })]),
  ]);
  for (const result of results) {
    expect(result).toMatchObject({ status: 'rejected', reason: { outcome: 'not-applied' } });
    expect((result as PromiseRejectedResult).reason).toBeInstanceOf(StoreFullError);
  }
  await store.insertBatch([put(1, 3, { ifValue: 1 })]);
  expect(store.get(1)?.value).toBe(3n);
  await store.close();
});

test('when a sync fails, the group is unknown, and batches left out of it are not applied', async () => {
  const { fs, store } = await openFresh();
  await store.insertBatch([put(1, 1)]);
  fs.faults.add({ call: 'writeSync', error: 'EIO', path: /log_0*1$/ });
  const results = await Promise.allSettled([
    store.insertBatch([put(1, 2)]),
    store.insertBatch([put(1, 3, { ifValue: 1 })]),
  ]);
  const reasons = results.map((result) => (result as PromiseRejectedResult).reason as Error);
  expect(reasons.map((reason) => reason instanceof StorePoisonedError)).toEqual([true, true]);
  expect(reasons).toMatchObject([{ outcome: 'unknown' }, { outcome: 'not-applied' }]);
  await store.close();
});

test('a large batch of conditions is judged in slices, and nothing commits in between', async () => {
  const { store } = await openFresh();
  const count = 20_000;
  const first = new WriteBatch();
  const moves = new WriteBatch();
  for (let key = 1; key <= count; key++) {
    first.put(key, key);
    moves.put(key, count + key, undefined, { ifValue: key });
  }
  await store.insertBatch(first);
  const last = new WriteBatch().put(0, 1).put(count, 1, undefined, { ifValue: count });
  const writes = [
    failureOf(store.insertBatch(moves)),
    failureOf(store.insertBatch(last)),
    failureOf(store.insertBatch([put(1, 1)])),
  ];
  expect((await Promise.all(writes)).map((error) => error?.found)).toEqual([
    undefined,
    BigInt(2 * count),
    undefined,
  ]);
  expect([store.get(0), store.get(1)?.value, store.get(2)?.value]).toEqual([
    undefined,
    1n,
    BigInt(count + 2),
  ]);
  await store.close();
});
