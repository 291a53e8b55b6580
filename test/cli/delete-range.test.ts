import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MetadataStore, restoreBackup, WriteBatch } from '../../src/index.ts';
import { runCli } from '../support/cli.ts';
import { dumpOfStore } from '../support/dump.ts';
import { decodeDirectory } from '../support/independent-decoder.ts';
import { flipByte } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const NO_MERGES = { mergeBytes: 2 ** 40 };

/** 9,000 records in two chunks, and a range delete after them, in the middle of a batch. */
async function filled(): Promise<{ directory: string; store: MetadataStore }> {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, NO_MERGES);
  const batch = new WriteBatch();
  for (let key = 0; key < 9000; key++) batch.put(key, key + 1);
  await store.insertBatch(batch);
  await store.merge();
  await store.put(30_000, 3);
  const ranges = new WriteBatch().put(4_000, 7).deleteRange({ gte: 5, lte: 8_500 }).put(9, 9);
  await store.insertBatch(ranges.deleteRange({ gte: 30_000 }));
  await store.put(4_321, 1);
  return { directory, store };
}

const LEFT = 5 + 1 + 1 + 499;

test('the tools read directories with deleted ranges', async () => {
  const { directory, store } = await filled();
  const { hash } = await store.contentHash();
  const expected = dumpOfStore(store);
  expect(store.size).toBe(LEFT);
  const dump = await runCli(['dump', directory, '--json']);
  expect(dump.out.trimEnd().split('\n')).toHaveLength(LEFT);
  expect((await runCli(['hash', directory])).out).toContain(hash);
  const tail = await runCli(['tail', '--after', '2', directory]);
  expect(tail.out.trimEnd().split('\n')).toEqual([
    '3 put 4000 7 0',
    '3 deleteRange 5 8500',
    '3 put 9 9 0',
    '3 deleteRange 30000 18446744073709551615',
    '4 put 4321 1 0',
  ]);
  const json = await runCli(['tail', '--after', '2', '--json', directory]);
  expect(JSON.parse(json.out.split('\n')[0]!)).toMatchObject({
    sequence: '3',
    updates: [{}, { type: 'deleteRange', gte: '5', lte: '8500' }, {}, {}],
  });
  await store.backup(join(directory, '..', 'copy'), { verify: true });
  await store.close();
  const target = join(await temporaryDirectory(), 'restored');
  await restoreBackup(join(directory, '..', 'copy'), target);
  const restored = await MetadataStore.open(target);
  expect(dumpOfStore(restored)).toBe(expected);
  await restored.close();
  expect((await runCli(['inspect', directory])).out).toContain('lodestore 3');
  expect((await runCli(['verify', directory])).code).toBe(0);
  expect(decodeDirectory(directory).records).toHaveLength(LEFT);
  expect((await runCli(['merge', directory])).code).toBe(0);
  const merged = await MetadataStore.open(directory, { readOnly: true });
  expect(dumpOfStore(merged)).toBe(expected);
  await merged.close();
});

test('salvage keeps ranges deleted', async () => {
  const { directory, store } = await filled();
  const { validBytes } = decodeDirectory(directory).logs.at(-1)!;
  await store.insertBatch(new WriteBatch().put(40_000, 1, new Uint8Array(5000)));
  await store.put(40_001, 1);
  await store.close();
  // The group with the long record is damaged; the ranges before it are valid.
  const logs = (await runCli(['inspect', directory])).out;
  expect(logs).toContain('log_0000000000000003');
  await flipByte(directory, 'log_0000000000000003', validBytes + 60);
  await expect(MetadataStore.open(directory)).rejects.toMatchObject({
    code: 'LODESTORE_CORRUPTION',
  });
  const salvaged = await MetadataStore.open(directory, { recovery: 'salvage' });
  expect(salvaged.recovery.losses.length).toBeGreaterThan(0);
  expect(salvaged.has(100)).toBe(false);
  expect([salvaged.valueOf(9), salvaged.valueOf(4_321)]).toEqual([9n, 1n]);
  expect(salvaged.has(30_000)).toBe(false);
  await salvaged.close();
});
