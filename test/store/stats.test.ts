import { expect, test, vi } from 'vitest';
import { ConditionFailedError, MetadataStore, StoreFullError } from '../../src/index.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const NO_MERGES = { mergeBytes: Number.MAX_SAFE_INTEGER };

function put(key: number, value = 1): { type: 'put'; key: number; value: number } {
  return { type: 'put', key, value };
}

test('batches, groups and latencies are counted', async () => {
  await using store = await openOn(new CrashFs(), '/s', NO_MERGES);
  await Promise.all(Array.from({ length: 10 }, (_, key) => store.insertBatch([put(key), put(99)])));
  await store.insertBatch([put(5)]);
  const { commits } = store.stats();
  expect(commits).toMatchObject({ batches: 11, updates: 21, failedGroups: 0, refusedBatches: 0 });
  expect(commits.syncs).toBe(commits.groups);
  const { encodeMs, writeMs, syncMs, batchMs } = commits.latency;
  expect([encodeMs.count, writeMs.count, syncMs.count]).toEqual([
    commits.groups,
    0,
    commits.groups,
  ]);
  expect(batchMs.count).toBe(11);
  expect(batchMs.sum).toBeGreaterThan(0);
  expect(commits.batchesPerGroup.sum).toBe(11);
  expect(commits.bytesPerGroup.sum).toBe(commits.writtenBytes);
  expect(commits.syncMs).toBe(syncMs.sum);
  expect(commits.longestEncodeMs).toBe(encodeMs.max);
});

test('a deferred write is not counted as a sync, and its later sync is', async () => {
  await using store = await openOn(new CrashFs(), '/s', NO_MERGES);
  await store.insertBatch([put(1)], { durability: 'deferred' });
  const written = store.stats();
  expect(written.commits).toMatchObject({ groups: 1, syncs: 0 });
  expect(written.commits.latency.writeMs.count).toBe(1);
  expect(written.logs.unsyncedBytes).toBeGreaterThan(0);
  await store.sync();
  expect(store.stats().commits).toMatchObject({ groups: 1, syncs: 1 });
  expect(store.stats().commits.latency.syncMs.count).toBe(1);
});

test('a refused batch and a failed group are distinguished', async () => {
  const fs = new CrashFs();
  const store = await openOn(fs, '/s', NO_MERGES);
  await store.insertBatch([put(1)]);
  const refused = store.insertBatch([{ ...put(1), ifAbsent: true }]);
  await expect(refused).rejects.toThrow(ConditionFailedError);
  expect(store.stats()).toMatchObject({
    commits: { refusedBatches: 1, failedGroups: 0 },
    lastError: undefined,
  });
  fs.faults.add({ call: 'write', error: 'ENOSPC' });
  await expect(store.insertBatch([put(2)])).rejects.toThrow(StoreFullError);
  const { commits, lastError } = store.stats();
  expect(commits).toMatchObject({ refusedBatches: 1, failedGroups: 1 });
  expect(lastError).toMatchObject({ source: 'commit', error: expect.any(StoreFullError) });
  expect(commits.latency.batchMs.count).toBe(1);
  await store.close();
});

test('merges report bytes, chunks and durations, and their progress while they run', async () => {
  const directory = await temporaryDirectory();
  await using store = await MetadataStore.open(directory, NO_MERGES);
  await store.insertBatch(Array.from({ length: 50_000 }, (_, key) => put(key, key + 1)));
  const started = vi.fn<(details: { logs: number; logBytes: number }) => void>();
  const merged = vi.fn<(details: { snapshotBytes: number; durationMs: number }) => void>();
  store.on('mergeStarted', started).on('merged', merged);
  const merging = store.merge();
  store.on('mergeStarted', () => {
    const { merges } = store.stats();
    expect(merges.state).toBe('running');
    expect(merges.totalBytes).toBeGreaterThan(0);
  });
  await merging;
  await store.insertBatch([put(3, 9)]);
  await store.merge();
  const { merges } = store.stats();
  expect(merges).toMatchObject({ state: 'idle', completed: 2, progressBytes: 0, totalBytes: 0 });
  expect(merges.copiedBytes).toBeGreaterThan(0);
  expect(merges.encodedBytes).toBeGreaterThan(0);
  expect(merges.copiedChunks + merges.encodedChunks).toBeGreaterThan(6);
  expect(merges.durationMs).toMatchObject({ count: 2 });
  expect(merges.lastDurationMs).toBeLessThanOrEqual(merges.durationMs.max);
  expect(started).toHaveBeenCalledTimes(2);
  expect(started.mock.calls[0]![0]).toMatchObject({
    logs: 1,
    oldSnapshotBytes: expect.any(Number),
  });
  expect(merged.mock.calls[1]![0]).toEqual({
    snapshotBytes: merges.snapshotBytes,
    durationMs: merges.lastDurationMs,
  });
});

test('a failed merge stays the last error after the next one has completed', async () => {
  const fs = new CrashFs();
  const store = await openOn(fs, '/s', NO_MERGES);
  await store.insertBatch([put(1)]);
  fs.faults.add({ call: 'rename', error: 'EIO' });
  await expect(store.merge()).rejects.toThrow('failed');
  expect(store.stats()).toMatchObject({
    merges: { failed: 1, durationMs: { count: 0 } },
    lastError: { source: 'merge', atMs: expect.any(Number) },
  });
  await store.close();
});

test('a rotation is counted and emitted', async () => {
  const store = await openOn(new CrashFs(), '/s', NO_MERGES);
  const rotated = vi.fn<(details: { number: number; path: string; bytes: number }) => void>();
  store.on('rotated', rotated);
  await store.insertBatch([put(1)]);
  const { bytes } = store.stats().logs;
  await store.merge();
  expect(store.stats().logs.rotations).toBe(1);
  expect(rotated).toHaveBeenCalledTimes(1);
  expect(rotated.mock.calls[0]![0]).toMatchObject({ path: expect.stringContaining('/s/log_') });
  expect(rotated.mock.calls[0]![0].bytes).toBeGreaterThan(bytes);
  await store.close();
});

test('stats has the owner and the findings of recovery', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, NO_MERGES);
  const stats = store.stats();
  expect(stats.directory).toBe(directory);
  expect(stats.lock).toMatchObject({ pid: process.pid, openedAtMs: expect.any(Number) });
  expect(stats.recovery).toBe(store.recovery);
  await store.insertBatch([put(1)]);
  await store.close();
  await using reader = await MetadataStore.open(directory, { readOnly: true });
  expect(reader.stats()).toMatchObject({
    readOnly: true,
    records: 1,
    lock: undefined,
    logs: { count: 1, rotations: 0 },
    commits: { groups: 0, latency: { batchMs: { count: 0 } } },
    merges: { completed: 0, state: 'idle' },
  });
});

test('a slow sync is emitted to listeners, or as a process warning once a minute', async () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  const store = await openOn(new CrashFs(), '/s', { ...NO_MERGES, slowSyncMs: 0 });
  for (let key = 0; key < 3; key++) await store.insertBatch([put(key)]);
  expect(warn).toHaveBeenCalledTimes(1);
  expect(warn).toHaveBeenCalledWith(
    expect.stringMatching(/^syncing \/s\/log_\w+ took \d+ ms$/),
    expect.objectContaining({ type: 'LodestoreWarning', code: 'LODESTORE_SLOW_SYNC' }),
  );
  const slow = vi.fn<(details: { syncMs: number; path: string }) => void>();
  store.on('slowSync', slow);
  await store.insertBatch([put(9)]);
  expect(slow).toHaveBeenCalledWith({ syncMs: expect.any(Number), path: expect.any(String) });
  await store.close();
  expect(warn).toHaveBeenCalledTimes(1);
  warn.mockRestore();
});

test('a sync below the threshold is not reported', async () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  const slow = vi.fn<() => void>();
  const store = await openOn(new CrashFs(), '/s', { ...NO_MERGES, slowSyncMs: 60_000 });
  store.on('slowSync', slow);
  await store.insertBatch([put(1)]);
  await store.close();
  expect([slow.mock.calls.length, warn.mock.calls.length]).toEqual([0, 0]);
  warn.mockRestore();
  await expect(openOn(new CrashFs(), '/s', { slowSyncMs: -1 })).rejects.toThrow(RangeError);
});

test('an exception of a listener is uncaught, and no commit fails', async () => {
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  const thrown: unknown[] = [];
  process.on('uncaughtException', (error) => thrown.push(error));
  try {
    const store = await openOn(new CrashFs(), '/s', { ...NO_MERGES, slowSyncMs: 0 });
    const bug = new Error('in a listener');
    store.on('slowSync', () => {
      throw bug;
    });
    store.on('rotated', () => {
      throw bug;
    });
    await store.insertBatch([put(1)]);
    await store.merge();
    await store.insertBatch([put(2)]);
    expect(store.size).toBe(2);
    expect(store.stats()).toMatchObject({ state: 'open', lastError: undefined });
    await store.close();
    await new Promise((resolve) => setImmediate(resolve));
    expect(thrown.length).toBeGreaterThanOrEqual(3);
    expect(new Set(thrown)).toEqual(new Set([bug]));
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const listener of others) process.on('uncaughtException', listener);
  }
});
