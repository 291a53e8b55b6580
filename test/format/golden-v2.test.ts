import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MetadataStore } from '../../src/store/metadata-store.ts';
import { dumpOf, dumpOfStore, readDump } from '../support/dump.ts';
import { copyOf, goldenNames, sha256, sumsOf, V2 } from '../support/golden.ts';
import { decodeDirectory } from '../support/independent-decoder.ts';

/** Content hashes that every later version must also compute. */
const HASHES: Readonly<Record<string, string>> = {
  'a-new-and-empty': '00000000000000000000000000000000',
  'b-one-chunk': 'e8030d0b9730808e99b8d32d3d62620d',
  'c1-many-chunks': '3efecd8b929b288f90ac16845e3dd029',
  'c2-merged-again-chunks-copied': 'fcd1a8ed23a85cf820ee41046a8904a3',
  'd-merged-from-version-1': 'bf7afa557dcf6d8de0da8ee8be37e974',
};

test('the frozen bytes of version 2 are unchanged', () => {
  const list = readFileSync(join(V2, 'SHA256SUMS'), 'utf8');
  expect(sha256(list)).toBe('9d59fa34d5a56f541afe379d670ec3f921a510004df4a114a31e26949cb147d3');
  expect(sumsOf(V2)).toBe(list);
  expect(goldenNames(V2)).toEqual(Object.keys(HASHES));
});

describe.each(Object.entries(HASHES))('%s', (name, hash) => {
  const dump = readDump(join(V2, `${name}.dump.txt.gz`));

  test('the independent decoder reads records and content hash', () => {
    const { records, snapshot } = decodeDirectory(join(V2, name));
    expect(dumpOf(records)).toBe(dump);
    expect([snapshot.head.version, snapshot.contentHash]).toEqual([2, hash]);
  });

  test('opens read-only with exactly its records and hash, and stays unchanged', async () => {
    const directory = await copyOf(V2, name);
    const before = sumsOf(directory);
    const store = await MetadataStore.open(directory, { readOnly: true });
    expect(dumpOfStore(store)).toBe(dump);
    expect((await store.contentHash()).hash).toBe(hash);
    await store.close();
    expect(sumsOf(directory)).toBe(before);
  });

  test('accepts writes, merges and reopens', async () => {
    const directory = await copyOf(V2, name);
    const store = await MetadataStore.open(directory);
    await store.insertBatch([{ type: 'put', key: 123_456_789n, value: 1n }]);
    await store.merge();
    const written = dumpOfStore(store);
    const merged = await store.contentHash();
    await store.close();
    const { records, snapshot } = decodeDirectory(directory);
    expect(dumpOf(records)).toBe(written);
    expect(snapshot.contentHash).toBe(merged.hash);
  });
});
