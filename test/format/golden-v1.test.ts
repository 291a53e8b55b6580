import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MetadataStore } from '../../src/store/metadata-store.ts';
import { dumpOf, dumpOfStore, readDump } from '../support/dump.ts';
import { copyOf, goldenNames, sha256, sumsOf, V1 } from '../support/golden.ts';
import { decodeDirectory, type DecodedDirectory } from '../support/independent-decoder.ts';

const NAMES = goldenNames(V1);
const OF_OURS = NAMES.filter((name) => name !== 'k-our-log-behind-the-ancestors');

function dumpFile(name: string): string {
  return readDump(join(V1, `${name}.dump.txt.gz`));
}

test('the frozen bytes of version 1 are unchanged', () => {
  const list = readFileSync(join(V1, 'SHA256SUMS'), 'utf8');
  expect(sha256(list)).toBe('f380dffa101b8f1b8ac1e9812dea36b75f0624522c1cfecee28e243a0d541210');
  expect(sumsOf(V1)).toBe(list);
});

describe.each(NAMES)('%s', (name) => {
  test('opens read-only with exactly its records and stays unchanged', async () => {
    const directory = await copyOf(V1, name);
    const before = sumsOf(directory);
    const store = await MetadataStore.open(directory, { readOnly: true });
    expect(dumpOfStore(store)).toBe(dumpFile(name));
    await store.close();
    expect(sumsOf(directory)).toBe(before);
  });

  test('accepts writes, merges and reopens', async () => {
    const directory = await copyOf(V1, name);
    const store = await MetadataStore.open(directory);
    expect(dumpOfStore(store)).toBe(dumpFile(name));
    await store.insertBatch([{ type: 'put', key: 123_456_789n, value: 1n }]);
    const written = dumpOfStore(store);
    await store.close();
    const again = await MetadataStore.open(directory);
    expect(dumpOfStore(again)).toBe(written);
    await again.merge();
    await again.close();
    const merged = await MetadataStore.open(directory, { readOnly: true });
    expect(dumpOfStore(merged)).toBe(written);
    await merged.close();
    expect(dumpOf(decodeDirectory(directory).records)).toBe(written);
  });
});

test.each(OF_OURS)('the independent decoder reads %s', (name) => {
  expect(dumpOf(decodeDirectory(join(V1, name)).records)).toBe(dumpFile(name));
});

function read(name: string): DecodedDirectory {
  return decodeDirectory(join(V1, name));
}

function endings(name: string): string[] {
  return read(name).logs.map((log) => log.ending);
}

describe('the golden directories contain the intended cases', () => {
  test('endings of logs', () => {
    expect(endings('a-new-and-empty')).toEqual([]);
    expect(endings('b-one-log-unsealed')).toEqual(['end']);
    expect(endings('c1-one-log-sealed')).toEqual(['sealed']);
    expect(endings('c2-sealed-and-next')).toEqual(['sealed', 'end']);
    expect(endings('d-rotated-with-riding-seals')).toEqual(['sealed', 'sealed', 'end']);
    expect(endings('h0-not-torn')).toEqual(['sealed', 'end']);
    expect(endings('h8-cut-between-frames')).toEqual(['sealed', 'end']);
    expect(endings('h9-blank-log-of-junk')).toEqual(['sealed', 'end']);
    expect(endings('i1-first-group-head-lost')).toEqual(['sealed']);
    expect(endings('i2-first-group-cut')).toEqual(['sealed', 'torn']);
    expect(endings('i3-riding-seal-without-its-group')).toEqual(['torn']);
    for (const name of NAMES.filter((each) => /^h[1-7]/.test(each))) {
      expect([name, ...endings(name)]).toEqual([name, 'sealed', 'torn']);
    }
  });

  test('groups of several batches, including empty ones', () => {
    const sizes = read('e-groups-of-batches').logs.flatMap((log) =>
      log.batches.map((batch) => batch.length),
    );
    expect(sizes).toHaveLength(39);
    const { logs } = read('e2-batches-without-rows');
    expect(logs[0]?.batches.map((batch) => batch.length)).toEqual([1, 0, 1, 0]);
  });

  test('raw and compressed, small and large, and copied chunks', () => {
    const { chunks } = read('g1-snapshot-of-many-chunks').snapshot;
    expect(new Set(chunks.map((chunk) => chunk.codec))).toEqual(new Set([0, 1]));
    expect(Math.max(...chunks.map((chunk) => chunk.records))).toBe(8192);
    expect(chunks.length).toBeGreaterThan(3);
  });

  test('empty files and unfinished snapshots', () => {
    const names = readdirSync(join(V1, 'j-leftovers-of-merges'));
    expect(names).toContain('snapshot_0000000000000003.tmp');
    expect(names).toContain('DO_NOT_PUT_YOUR_FILES_HERE');
  });
});
