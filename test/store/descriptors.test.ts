import { expect, test } from 'vitest';
import type { MetadataStore, StoreError } from '../../src/index.ts';
import { CrashFs, openOn, type FaultRule } from '../../src/testing/index.ts';
import { deferred } from '../support/deferred.ts';

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

const made = new Map<number, Uint8Array>();

/** Incompressible bytes, so that logs grow and rotate. Made once for each seed. */
function noise(seed: number): Uint8Array {
  let bytes = made.get(seed);
  if (bytes !== undefined) return bytes;
  let state = seed * 2654435761 + 1;
  bytes = Uint8Array.from({ length: 20_000 }, () => {
    state = (state * 1664525 + 1013904223) >>> 0;
    return state >>> 24;
  });
  made.set(seed, bytes);
  return bytes;
}

/** Writes batches one after another. Returns the acknowledged keys. */
async function writeSome(
  store: MetadataStore,
  durability: 'sync' | 'deferred',
  first: number,
  errors: StoreError[],
): Promise<bigint[]> {
  const written: bigint[] = [];
  for (let key = first; key < first + 20; key++) {
    const batch = [{ type: 'put' as const, key, value: 1, data: noise(key) }];
    await store.insertBatch(batch, { durability }).then(
      () => written.push(BigInt(key)),
      (error: StoreError) => errors.push(error),
    );
    await turn();
  }
  return written;
}

async function run(durability: 'sync' | 'deferred', rule: FaultRule | undefined): Promise<number> {
  const fs = new CrashFs({ trace: true });
  const store = await openOn(fs, '/s', { rotateBytes: 100_000 });
  const errors: StoreError[] = [];
  const callsBefore = fs.trace.length;
  if (rule !== undefined) fs.faults.add(rule);
  const written = await writeSome(store, durability, 0, errors);
  const calls = fs.trace.slice(callsBefore).filter(({ kind }) => kind === rule?.call).length;
  fs.faults.clear();
  for (const error of errors) {
    expect([error.code, error.outcome]).toEqual(['LODESTORE_IO', 'not-applied']);
  }
  expect(store.stats().state).toBe('open');
  const later: StoreError[] = [];
  written.push(...(await writeSome(store, durability, 100, later)));
  expect(later).toEqual([]);
  await store.merge();
  expect([...store.keys()]).toEqual(written);
  await store.close();
  const reopened = await openOn(fs, '/s');
  expect([...reopened.keys()]).toEqual(written);
  await reopened.close();
  return calls;
}

const RULES = (['open', 'syncDirectory'] as const).flatMap((call) =>
  (['sync', 'deferred'] as const).map((durability) => ({ call, durability })),
);

test.each(RULES)(
  'without descriptors for $call ($durability), nothing is poisoned, and writes continue later',
  async ({ call, durability }) => {
    for (const mode of ['once', 'sticky'] as const) {
      for (let nth = 1; ; nth++) {
        const error = nth % 2 === 0 ? ('ENFILE' as const) : ('EMFILE' as const);
        const calls = await run(durability, { call, nth, error, mode });
        expect(calls).toBeGreaterThan(0);
        if (calls < nth) break;
      }
    }
  },
);

test('a log with open descriptors grows, takes deferred batches and is truncated', async () => {
  const fs = new CrashFs();
  const store = await openOn(fs, '/s');
  await store.insertBatch([{ type: 'put', key: 1, value: 1 }]);
  await turn();
  fs.faults.add({ call: 'open', error: 'EMFILE', mode: 'sticky' });
  const errors: StoreError[] = [];
  const keys = [1n, ...(await writeSome(store, 'sync', 100, errors))];
  keys.push(...(await writeSome(store, 'deferred', 200, errors)));
  await store.sync();
  fs.faults.add({ call: 'write', error: 'ENOSPC' });
  await writeSome(store, 'sync', 300, errors).then((written) => keys.push(...written));
  expect(errors.map(({ code, outcome }) => [code, outcome])).toEqual([
    ['LODESTORE_FULL', 'not-applied'],
  ]);
  expect(keys).toHaveLength(60);
  expect(store.stats().state).toBe('open');
  fs.faults.clear();
  await store.close();
  const reopened = await openOn(fs, '/s');
  expect([...reopened.keys()]).toEqual(keys);
  await reopened.close();
});

test('a close that fails for one log waits for what is written to the other', async () => {
  const zeros = deferred<void>();
  const reached = deferred<void>();
  const hold = /^dataSync .*log_0000000000000001$/;
  let isHeld = false;
  const scheduler = {
    turn: async (label: string): Promise<void> => {
      if (!isHeld || !hold.test(label)) return;
      reached.resolve(undefined);
      await zeros.promise;
    },
  };
  const fs = new CrashFs({ scheduler });
  const store = await openOn(fs, '/s', { mergeBytes: 1 << 30 });
  await store.insertBatch([{ type: 'put', key: 0, value: 1 }]);
  isHeld = true;
  fs.faults.add({ call: 'close', error: 'EIO', path: /log_0000000000000002$/ });
  // More than half of the reserve: zeros are written behind it, in the background.
  const data = Buffer.concat(Array.from({ length: 8 }, (_, i) => noise(i)));
  await store.insertBatch([{ type: 'put', key: 1, value: 1, data }]);
  await reached.promise;
  let isSettled = false;
  const closing = store.close().finally(() => {
    isSettled = true;
  });
  closing.catch(() => undefined);
  for (let i = 0; i < 100; i++) await turn();
  expect(isSettled).toBe(false);
  zeros.resolve(undefined);
  await expect(closing).rejects.toMatchObject({ code: 'LODESTORE_IO' });
  const again = await openOn(fs, '/s');
  expect(again.size).toBe(2);
  await again.close();
});
