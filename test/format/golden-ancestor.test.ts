import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MetadataStore } from '../../src/store/metadata-store.ts';
import { dumpOf, dumpOfStore, readDump } from '../support/dump.ts';
import { ANCESTOR, copyOf, goldenNames, sha256, sumsOf, V1 } from '../support/golden.ts';
import { ancestorFrame } from '../support/independent-ancestor.ts';
import { decodeDirectory } from '../support/independent-decoder.ts';

test("the frozen bytes of the ancestor's directories are unchanged", () => {
  const list = readFileSync(join(ANCESTOR, 'SHA256SUMS'), 'utf8');
  expect(sha256(list)).toBe('7ce025a2516fe579ef3e157b7a4567a988df518498ace905c00039a67f8b0096');
  expect(sumsOf(ANCESTOR)).toBe(list);
});

describe.each(goldenNames(ANCESTOR))('%s', (name) => {
  const dump = readDump(join(ANCESTOR, `${name}.dump.txt.gz`));

  test('opens read-only with exactly its records and stays unchanged', async () => {
    const directory = await copyOf(ANCESTOR, name);
    const before = sumsOf(directory);
    const store = await MetadataStore.open(directory, { readOnly: true });
    expect(dumpOfStore(store)).toBe(dump);
    await store.close();
    expect(sumsOf(directory)).toBe(before);
  });

  test('accepts writes, reopens, merges into our format, and reopens', async () => {
    const directory = await copyOf(ANCESTOR, name);
    const store = await MetadataStore.open(directory, { mergeBytes: 2 ** 40 });
    expect(dumpOfStore(store)).toBe(dump);
    await store.insertBatch([
      { type: 'put', key: 123_456_789n, value: 1n, data: new Uint8Array(100) },
      { type: 'del', key: 1n },
    ]);
    const written = dumpOfStore(store);
    await store.close();

    const again = await MetadataStore.open(directory, { mergeBytes: 2 ** 40 });
    expect(dumpOfStore(again)).toBe(written);
    await again.merge();
    expect(dumpOfStore(again)).toBe(written);
    await again.close();

    const merged = await MetadataStore.open(directory);
    expect(dumpOfStore(merged)).toBe(written);
    expect(merged.recovery.snapshot?.format).toBe('lodestore');
    await merged.close();
    expect(dumpOf(decodeDirectory(directory).records)).toBe(written);
  });
});

describe('the ancestor rejects our files', () => {
  const files = goldenNames(V1)
    .filter((name) => name !== 'k-our-log-behind-the-ancestors')
    .flatMap((name) => readdirSync(join(V1, name)).map((file) => join(name, file)))
    .filter((path) => /(log|snapshot)_[0-9a-f]{16}$/.test(path))
    .map((path) => [path, readFileSync(join(V1, path))] as const)
    .filter(([, bytes]) => bytes.length > 0);

  test.each(files)('%s', (_, bytes) => {
    const isOurs = /^LODE(LOG|SNP)/.test(bytes.toString('latin1'));
    expect(() => ancestorFrame(bytes)).toThrow(isOurs ? 'capacity overflow' : /checksum|cut/);
  });

  test('its rule accepts its own files', () => {
    const snapshot = join(ANCESTOR, 'c-snapshot-and-live-log', 'snapshot_0000000000000003');
    expect(ancestorFrame(readFileSync(snapshot)).length).toBeGreaterThan(24 * 600);
  });
});
