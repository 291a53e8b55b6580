import { expect, test } from 'vitest';
import { FencedError, WriteBatch, type Change, type MetadataStore } from '../../src/index.ts';
import { openStoreIn } from '../../src/store/metadata-store.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { simulatedEnvironment } from '../../src/testing/open-on.ts';
import { deferred } from '../support/deferred.ts';
import { isPending, put, take } from '../support/feed.ts';

const LEASE = '/s/lodestore.lease';
const NO_MERGES = { mergeBytes: 2 ** 40 };
/** More rows than are indexed without a pause. */
const ROWS = 200;

test('a feed neither yields nor passes over a batch that is durable but not visible yet', async () => {
  let indexing: Promise<void> = Promise.resolve();
  const fs = new CrashFs({ trace: false });
  const environment = { ...simulatedEnvironment(fs), pause: () => indexing };
  const store = await openStoreIn(environment, '/s', NO_MERGES);
  const gate = deferred<void>();
  indexing = gate.promise;
  const batch = new WriteBatch();
  for (let key = 0; key < ROWS; key++) batch.put(key, key + 1);
  const inserted = store.insertBatch(batch);
  expect(await isPending(inserted)).toBe(true);
  // The group is in the log, and its rows are being indexed.
  expect(store.stats().logs.bytes).toBeGreaterThan(0);
  expect(store.stats()).toMatchObject({ records: 0, lastSequence: 0n, lastSyncedSequence: 0n });
  const steps = [store.changes({ after: 0n }), store.changes()].map((feed) => feed.next());
  expect(await isPending(Promise.race(steps))).toBe(true);
  gate.resolve(undefined);
  await inserted;
  const yielded = await Promise.all(steps);
  expect(yielded.map(({ value }) => (value as Change).sequence)).toEqual([1n, 1n]);
  expect(store.stats()).toMatchObject({ records: ROWS, lastSequence: 1n, lastSyncedSequence: 1n });
  await store.close();
});

/** Inserts a batch, which is durable when the promise resolves. */
type Write = (store: MetadataStore) => Promise<unknown>;

const writeAtOnce: Write = (store) => store.put(2, 2);

const writeDeferred: Write = async (store) => {
  await store.put(2, 2, undefined, { durability: 'deferred' });
  await store.sync();
};

test.each([
  ['the write of its group', /^write .*log_0*1$/, 'unknown', writeAtOnce],
  ['the sync of its deferred group', /^dataSync .*log_0*1$/, 'not-applied', writeDeferred],
])('a feed yields nothing of a batch if the lease is lost during %s', async (...given) => {
  const [, at, outcome, write] = given;
  const renewing = deferred<void>();
  const decided = deferred<void>();
  let isPausing = false;
  const turn = async (label: string): Promise<void> => {
    if (!isPausing) return;
    if (at.test(label)) fs.leases.expire(LEASE);
    if (!label.startsWith('renewLease ')) return;
    renewing.resolve(undefined);
    await decided.promise;
  };
  const fs: CrashFs = new CrashFs({ trace: false, scheduler: { turn } });
  const store = await openOn(fs, '/s', NO_MERGES);
  await store.insertBatch(put(1, 1));
  const feed = store.changes({ after: 0n });
  expect(await take(feed, 1)).toEqual(['1 1=1:']);
  const waiting = feed.next();
  // Once the next log has been prepared.
  expect(await isPending(waiting)).toBe(true);
  fs.faults.add({ call: 'renewLease', mode: 'sticky' });
  isPausing = true;
  const written = write(store).catch((error: unknown) => error);
  await renewing.promise;
  const begun = store.changes({ after: 1n }).next();
  expect(await isPending(Promise.race([waiting, begun]))).toBe(true);
  decided.resolve(undefined);
  expect(await written).toMatchObject({ code: 'LODESTORE_FENCED', outcome });
  await expect(waiting).rejects.toBeInstanceOf(FencedError);
  await expect(begun).rejects.toBeInstanceOf(FencedError);
  await store.close().catch(() => undefined);
});
