import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { MetadataStore, WriteBatch } from '../../src/index.ts';
import { snapshotName } from '../../src/format/file-name.ts';
import { readSnapshot } from '../../src/snapshot/snapshot-reader.ts';
import { CrashFs, openOn } from '../../src/testing/index.ts';
import { copyOf, V1 } from '../support/golden.ts';
import { contentHashOf } from '../support/independent-content-hash.ts';
import { decodeDirectory } from '../support/independent-decoder.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const NO_MERGES = { mergeBytes: 2 ** 40 };

function batchOf(from: number, to: number, value: number): WriteBatch {
  const batch = new WriteBatch();
  for (let key = from; key < to; key++) batch.put(key, value, Uint8Array.of(key & 255, value));
  return batch;
}

function hashOf(store: MetadataStore): string {
  return contentHashOf([...store.entries()].map(([key, record]) => ({ key, ...record })));
}

function openSimulated(fs: CrashFs = new CrashFs({ trace: false })): Promise<MetadataStore> {
  return openOn(fs, '/s', NO_MERGES);
}

describe('content hash', () => {
  test('of an empty store', async () => {
    const store = await openSimulated();
    expect(await store.contentHash()).toEqual({
      hash: '0'.repeat(32),
      records: 0,
      lastSequence: 0n,
    });
    await store.close();
  });

  test('changes with new keys, overwrites and deletes, and returns with the records', async () => {
    const store = await openSimulated();
    await store.insertBatch(batchOf(0, 500, 1));
    const first = await store.contentHash();
    expect(first).toEqual({ hash: hashOf(store), records: 500, lastSequence: 1n });
    await store.insertBatch(batchOf(100, 300, 2));
    expect((await store.contentHash()).hash).toBe(hashOf(store));
    const deletes = new WriteBatch();
    for (let key = 50; key < 200; key++) deletes.delete(key);
    await store.insertBatch(deletes);
    expect(await store.contentHash()).toMatchObject({ hash: hashOf(store), records: 350 });
    await store.merge();
    expect((await store.contentHash()).hash).toBe(hashOf(store));
    await store.insertBatch(batchOf(0, 500, 1));
    expect(await store.contentHash()).toEqual({ ...first, lastSequence: 4n });
    await store.close();
  });

  test('is that of the state at the call, whatever is written while it is computed', async () => {
    const directory = await temporaryDirectory();
    const store = await MetadataStore.open(directory, NO_MERGES);
    await store.insertBatch(batchOf(0, 20_000, 1));
    const expected = hashOf(store);
    const asked = store.contentHash();
    const writing = [store.insertBatch(batchOf(0, 10_000, 2)), store.merge()];
    const again = store.contentHash();
    expect(await asked).toEqual({ hash: expected, records: 20_000, lastSequence: 1n });
    expect(await again).toEqual({ hash: expected, records: 20_000, lastSequence: 1n });
    await Promise.all(writing);
    expect(await store.contentHash()).toMatchObject({ hash: hashOf(store), lastSequence: 2n });
    await store.close();
  });

  test('ignores a rejected batch', async () => {
    const fs = new CrashFs({ trace: false });
    const store = await openSimulated(fs);
    await store.insertBatch(batchOf(0, 10, 1));
    const before = await store.contentHash();
    fs.powerOff();
    await expect(store.insertBatch(batchOf(0, 10, 2))).rejects.toMatchObject({
      code: 'LODESTORE_POISONED',
    });
    expect(await store.contentHash()).toEqual(before);
  });

  test('is stored by a merge, also over copied chunks, and read by an open', async () => {
    const directory = await temporaryDirectory();
    const store = await MetadataStore.open(directory, NO_MERGES);
    await store.insertBatch(batchOf(0, 40_000, 1));
    await store.merge();
    await store.insertBatch(batchOf(39_000, 41_000, 3));
    await store.insertBatch([{ type: 'del', key: 20_000 }]);
    await store.merge();
    expect(store.stats().merges.copiedChunks).toBeGreaterThan(0);
    const { hash } = await store.contentHash();
    await store.close();
    expect(decodeDirectory(directory).snapshot.contentHash).toBe(hash);
    const again = await MetadataStore.open(directory, NO_MERGES);
    expect(await again.contentHash()).toEqual({ hash, records: 40_999, lastSequence: 3n });
    await again.close();
  });

  test('is computed by a merge of a snapshot without one, and kept by every later merge', async () => {
    const directory = await copyOf(V1, 'g1-snapshot-of-many-chunks');
    expect(decodeDirectory(directory).snapshot.contentHash).toBeUndefined();
    const store = await MetadataStore.open(directory, NO_MERGES);
    expect((await store.contentHash()).hash).toBe(hashOf(store));
    for (const key of [5n, 2n ** 63n]) {
      await store.insertBatch([{ type: 'put', key, value: 1n }]);
      await store.merge();
      expect(decodeDirectory(directory).snapshot.contentHash).toBe(hashOf(store));
    }
    expect(store.stats().merges.copiedChunks).toBeGreaterThan(0);
    await store.close();
  });

  test('the first snapshot of a store has version 2', async () => {
    const directory = await temporaryDirectory();
    await (await MetadataStore.open(directory)).close();
    const file = await nodeFileSystem.open(join(directory, snapshotName(0)), 'r');
    expect(await readSnapshot(file, 0)).toMatchObject({
      header: { version: 2 },
      index: { totals: { contentHash: 0n } },
    });
    await file.close();
  });
});

/** A store whose hash takes several slices. */
async function largeStore(): Promise<string> {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, NO_MERGES);
  await store.insertBatch(batchOf(0, 300_000, 1));
  await store.close();
  return directory;
}

describe('an abort', () => {
  test('by a signal, before and during the computation', async () => {
    const store = await MetadataStore.open(await largeStore(), NO_MERGES);
    const code = { code: 'LODESTORE_ABORTED', cause: 'enough' };
    await expect(store.contentHash({ signal: AbortSignal.abort('enough') })).rejects.toMatchObject(
      code,
    );
    const controller = new AbortController();
    const asked = store.contentHash({ signal: controller.signal });
    controller.abort('enough');
    await expect(asked).rejects.toMatchObject(code);
    expect((await store.contentHash()).hash).toBe(hashOf(store));
    await store.close();
  });

  test('by a close, before and during the computation', async () => {
    const store = await MetadataStore.open(await largeStore(), { readOnly: true });
    const asked = store.contentHash();
    await Promise.all([
      expect(asked).rejects.toMatchObject({ code: 'LODESTORE_CLOSED' }),
      store.close(),
    ]);
    await expect(store.contentHash()).rejects.toMatchObject({ code: 'LODESTORE_CLOSED' });
  });

  test('an invalid signal is refused', async () => {
    const store = await openSimulated();
    await expect(store.contentHash({ signal: 5 as never })).rejects.toThrow(TypeError);
    await store.close();
  });
});
