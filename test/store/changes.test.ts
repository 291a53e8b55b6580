import { describe, expect, test } from 'vitest';
import {
  AbortedError,
  StoreClosedError,
  StorePoisonedError,
  WriteBatch,
  type Change,
} from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { isPending, put, rest, take, textOf } from '../support/feed.ts';

const NO_MERGES = { mergeBytes: 2 ** 40 };

/** Counts the open files at the file system. */
function countOpen(fs: CrashFs): () => number {
  let count = 0;
  const open = fs.open.bind(fs);
  fs.open = async (path, mode) => {
    const file = await open(path, mode);
    count++;
    const close = file.close.bind(file);
    file.close = async () => {
      count--;
      await close();
    };
    return file;
  };
  return () => count;
}

describe('a live feed', () => {
  test('yields every batch as it was inserted, once it is committed, in order', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', NO_MERGES);
    const feed = store.changes();
    const first = feed.next();
    expect(await isPending(first)).toBe(true);
    await store.insertBatch([
      { type: 'put', key: 7, value: 2n ** 64n - 1n, data: Buffer.from('seven') },
      { type: 'put', key: 7, value: 1 },
      { type: 'del', key: 2n ** 64n - 1n },
    ]);
    const { value } = (await first) as { value: Change };
    expect(textOf(value)).toBe('1 7=18446744073709551615:seven 7=1: -18446744073709551615');
    expect({ size: value.size, byteLength: value.byteLength }).toEqual({ size: 3, byteLength: 65 });
    // Changing the copies affects nothing.
    for (const update of value.updates) if (update.type === 'put') update.data.fill(0);
    expect(textOf(value)).toContain('seven');
    // A group of several batches yields batch by batch; empty batches have no number.
    await Promise.all([
      store.insertBatch(put(1, 10)),
      store.insertBatch([]),
      store.insertBatch(put(2, 20)),
      store.insertBatch(put(3, 30)),
    ]);
    expect(await take(feed, 3)).toEqual(['2 1=10:', '3 2=20:', '4 3=30:']);
    expect(store.stats().lastSequence).toBe(4n);
    await feed.return?.();
    await store.close();
  });

  test('starts as requested: now, at the beginning, or in the middle of a group', async () => {
    const store = await openOn(new CrashFs({ trace: false }), '/s', NO_MERGES);
    await Promise.all([1, 2, 3, 4].map((key) => store.insertBatch(put(key, key))));
    const now = store.changes();
    const all = store.changes({ after: 0n });
    const some = store.changes({ after: 2 });
    await store.insertBatch(put(5, 5, 'x'));
    expect(await take(all, 5)).toEqual(['1 1=1:', '2 2=2:', '3 3=3:', '4 4=4:', '5 5=5:x']);
    expect(await take(some, 3)).toEqual(['3 3=3:', '4 4=4:', '5 5=5:x']);
    expect(await take(now, 1)).toEqual(['5 5=5:x']);
    await store.close();
    expect(await Promise.all([rest(now), rest(all), rest(some)])).toEqual([[], [], []]);
  });

  test('continues from log to log, with compressed and raw groups', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', { ...NO_MERGES, rotateBytes: 65_536 });
    const live = store.changes();
    const lengths: number[] = [];
    for (let key = 0; key < 40; key++) {
      const data = new Uint8Array(key % 3 === 0 ? 40_000 : 10);
      if (key % 2 === 0) crypto.getRandomValues(data);
      lengths.push(data.length + 20);
      await store.insertBatch([{ type: 'put', key, value: 1, data }]);
    }
    expect(store.stats().logs.count).toBeGreaterThan(2);
    for (const feed of [live, store.changes({ after: 0n })]) {
      for (let key = 0; key < 40; key++) {
        const { value } = (await feed.next()) as { value: Change };
        expect([value.sequence, value.byteLength]).toEqual([BigInt(key + 1), lengths[key]]);

        const [update] = value.updates;
        const data = update?.type === 'put' ? update.data : new Uint8Array();
        expect(Buffer.compare(data, store.get(key)!.data)).toBe(0);
      }
    }
    await store.close();
  });

  test('a change may be kept, because later reads do not modify it', async () => {
    const store = await openOn(new CrashFs({ trace: false }), '/s', NO_MERGES);
    const data = [1, 2, 3, 4].map(() => {
      const bytes = new Uint8Array(400_000);
      for (let at = 0; at < bytes.length; at += 50_000) {
        crypto.getRandomValues(bytes.subarray(at, at + 50_000));
      }
      return bytes;
    });
    for (const [key, one] of data.entries()) {
      await store.insertBatch([{ type: 'put', key, value: 1, data: one }]);
    }
    const kept: Change[] = [];
    for await (const change of store.changes({ after: 0n })) {
      kept.push(change);
      if (kept.length === data.length) break;
    }
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(-64)).toString('hex');
    const found = kept.map(({ updates }) =>
      [...updates].map((one) => (one.type === 'put' ? hex(one.data) : '')),
    );
    expect(found).toEqual(data.map((one) => [hex(one)]));
    await store.close();
  });

  test('reads a log to its end that a merge removes meanwhile, and continues', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', NO_MERGES);
    for (let key = 1; key <= 6; key++) await store.insertBatch(put(key, key));
    const feed = store.changes({ after: 0n });
    expect(await take(feed, 2)).toEqual(['1 1=1:', '2 2=2:']);
    await store.merge();
    await store.insertBatch(put(7, 7));
    expect(fs.files().has('/s/log_0000000000000001')).toBe(false);
    expect(await take(feed, 5)).toEqual(['3 3=3:', '4 4=4:', '5 5=5:', '6 6=6:', '7 7=7:']);
    await store.close();
  });

  test('a feed at its end is not expired by a merge', async () => {
    const store = await openOn(new CrashFs({ trace: false }), '/s', NO_MERGES);
    await store.insertBatch(put(1, 1));
    const waiting = store.changes({ after: 0n });
    const late = store.changes();
    expect(await take(waiting, 1)).toEqual(['1 1=1:']);
    const next = take(waiting, 1);
    await store.merge();
    await store.merge();
    await store.insertBatch(put(2, 2));
    expect(await next).toEqual(['2 2=2:']);
    expect(await take(late, 1)).toEqual(['2 2=2:']);
    await store.close();
  });

  test('yields nothing that a power failure could lose', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', { ...NO_MERGES, durability: { syncEveryMs: 3_600_000 } });
    const feed = store.changes({ after: 0n });
    const first = feed.next();
    await store.insertBatch(put(1, 1));
    expect(store.get(1)).toBeDefined();
    expect(await isPending(first)).toBe(true);
    await store.sync();
    expect(textOf(((await first) as { value: Change }).value)).toBe('1 1=1:');
    // Also if the log is already open.
    const second = take(feed, 1);
    await store.insertBatch(put(2, 2));
    expect(await isPending(second)).toBe(true);
    await store.insertBatch(put(3, 3), { durability: 'sync' });
    expect(await second).toEqual(['2 2=2:']);
    expect(await take(feed, 1)).toEqual(['3 3=3:']);
    await store.close();
  });
});

describe('several feeds', () => {
  test('a slow feed keeps one file open and at most the rest of one group in memory', async () => {
    const fs = new CrashFs({ trace: false });
    const open = countOpen(fs);
    const store = await openOn(fs, '/s', NO_MERGES);
    await store.insertBatch(put(0, 1));
    // Once the next log has been prepared.
    await isPending(Promise.resolve());
    const before = open();
    const slow = store.changes({ after: 0n });
    const quick = store.changes({ after: 0n });
    expect(open()).toBe(before);
    await take(slow, 1);
    for (let key = 1; key < 200; key++) await store.insertBatch(put(key, 1));
    expect(await take(quick, 200)).toHaveLength(200);
    expect(open()).toBe(before + 2);
    expect(store.stats().changes.feeds).toBe(2);
    expect(await take(slow, 199)).toHaveLength(199);
    await quick.return?.();
    expect(open()).toBe(before + 1);
    for await (const _change of store.changes({ after: 10n })) break;
    expect(open()).toBe(before + 1);
    await store.close();
    expect(open()).toBe(0);
    expect(store.stats().changes.feeds).toBe(0);
  });

  test('steps requested at once resolve in order', async () => {
    const store = await openOn(new CrashFs({ trace: false }), '/s', NO_MERGES);
    const feed = store.changes();
    const steps = [feed.next(), feed.next(), feed.next()];
    await store.insertBatch(put(1, 1));
    await store.insertBatch(put(2, 2));
    await Promise.all(steps.slice(0, 2));
    await store.close();
    const results = await Promise.all(steps);
    expect(results.map(({ done, value }) => (done === true ? 'end' : textOf(value)))).toEqual([
      '1 1=1:',
      '2 2=2:',
      'end',
    ]);
  });
});

describe('a feed ends', () => {
  test('with AbortedError when its signal aborts, before or while it waits', async () => {
    const store = await openOn(new CrashFs({ trace: false }), '/s', NO_MERGES);
    const controller = new AbortController();
    const feed = store.changes({ signal: controller.signal });
    const next = feed.next();
    expect(await isPending(next)).toBe(true);
    controller.abort(new Error('enough'));
    await expect(next).rejects.toMatchObject({
      code: 'LODESTORE_ABORTED',
      cause: { message: 'enough' },
    });
    expect(await feed.next()).toEqual({ done: true, value: undefined });
    const late = store.changes({ signal: controller.signal });
    await expect(late.next()).rejects.toBeInstanceOf(AbortedError);
    expect(store.stats().changes.feeds).toBe(0);
    await store.close();
  });

  test('without an error when the store is closed, and no new one starts', async () => {
    const store = await openOn(new CrashFs({ trace: false }), '/s', NO_MERGES);
    await store.insertBatch(put(1, 1));
    const waiting = store.changes();
    const behind = store.changes({ after: 0n });
    const next = waiting.next();
    const closing = store.close();
    expect(() => store.changes()).toThrow(StoreClosedError);
    await closing;
    expect(await next).toEqual({ done: true, value: undefined });
    expect(await behind.next()).toEqual({ done: true, value: undefined });
    expect(() => store.changes()).toThrow(StoreClosedError);
  });

  test('with the first cause when the store is poisoned, and yields nothing of unknown outcome', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', NO_MERGES);
    await store.insertBatch(put(1, 1));
    const waiting = store.changes({ after: 0n });
    const behind = store.changes({ after: 0n });
    expect(await take(waiting, 1)).toEqual(['1 1=1:']);
    const next = waiting.next();
    fs.faults.add({ call: 'write', nth: 1, error: 'EIO' });
    await expect(store.insertBatch(put(2, 2))).rejects.toBeInstanceOf(StorePoisonedError);
    await expect(next).rejects.toBeInstanceOf(StorePoisonedError);
    await expect(behind.next()).rejects.toBe(store.stats().poison);
    await store.close();
  });

  test('with LODESTORE_IO if there is no descriptor; a new feed and the store continue', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openOn(fs, '/s', NO_MERGES);
    await store.insertBatch(put(1, 10));
    fs.faults.add({ call: 'open', error: 'EMFILE', path: /\/log_/ });
    const feed = store.changes({ after: 0n });
    await expect(feed.next()).rejects.toMatchObject({ code: 'LODESTORE_IO' });
    expect(await feed.next()).toEqual({ done: true, value: undefined });
    fs.faults.clear();
    await store.insertBatch(put(2, 20));
    expect(await take(store.changes({ after: 0n }), 2)).toHaveLength(2);
    await store.close();
  });

  test('with a TypeError or RangeError for an invalid position or signal', async () => {
    const store = await openOn(new CrashFs({ trace: false }), '/s', NO_MERGES);
    for (const after of [-1, 1.5, -1n, 2n ** 64n]) {
      expect(() => store.changes({ after })).toThrow(RangeError);
    }
    expect(() => store.changes({ after: '1' as unknown as bigint })).toThrow(TypeError);
    expect(() => store.changes({ signal: {} as AbortSignal })).toThrow(TypeError);
    await store.close();
  });
});

test("a follower that applies each change as a batch has its leader's sequence numbers", async () => {
  const leader = await openOn(new CrashFs({ trace: false }), '/s', NO_MERGES);
  const follower = await openOn(new CrashFs({ trace: false }), '/s');
  const batch = new WriteBatch();
  for (let key = 0; key < 500; key++) batch.put(key, key + 1, Buffer.from(`${key}`));
  await leader.insertBatch(batch);
  await leader.insertBatch([]);
  await leader.insertBatch([{ type: 'del', key: 3 }]);
  await leader.insertBatch([{ type: 'put', key: 4, value: 9, ifValue: 5 }]);
  await leader
    .insertBatch([{ type: 'put', key: 4, value: 8, ifAbsent: true }])
    .catch(() => undefined);
  await leader.insertBatch([{ type: 'del', key: 70_000 }]);
  for await (const change of leader.changes({ after: follower.stats().lastSequence })) {
    await follower.insertBatch(change.updates);
    expect(follower.stats().lastSequence).toBe(change.sequence);
    if (change.sequence === leader.stats().lastSequence) break;
  }
  expect(await follower.contentHash()).toEqual(await leader.contentHash());
  await leader.close();
  await follower.close();
});
