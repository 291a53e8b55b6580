import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ChecksumSeed } from '../../src/format/checksum.ts';
import { MetadataStore } from '../../src/store/metadata-store.ts';
import { dumpOf, dumpOfStore, readDump } from '../support/dump.ts';
import { copyOf, goldenNames, sha256, sumsOf, V3_LOGS } from '../support/golden.ts';
import { decodeDirectory } from '../support/independent-decoder.ts';

/** Version and ending of each log, and whether the last group was torn. */
const ENDINGS: Readonly<Record<string, readonly (readonly [number, string])[]>> = {
  'a-ranges-behind-a-snapshot': [
    [2, 'sealed'],
    [3, 'end'],
  ],
  'b-last-range-torn': [
    [2, 'sealed'],
    [3, 'torn'],
  ],
  'c-sealed': [
    [2, 'sealed'],
    [3, 'sealed'],
  ],
};

test('the frozen bytes of logs of version 3 are unchanged', () => {
  const list = readFileSync(join(V3_LOGS, 'SHA256SUMS'), 'utf8');
  expect(sha256(list)).toBe('e6c8d443e248eb1dc1aa1fe0f69f475bc5c8b99767bf9272475c2234d98ff380');
  expect(sumsOf(V3_LOGS)).toBe(list);
  expect(goldenNames(V3_LOGS)).toEqual(Object.keys(ENDINGS));
});

describe.each(Object.entries(ENDINGS))('%s', (name, endings) => {
  const dump = readDump(join(V3_LOGS, `${name}.dump.txt.gz`));

  test("the independent decoder reads the records and the logs' endings", () => {
    const { records, logs } = decodeDirectory(join(V3_LOGS, name));
    expect(dumpOf(records)).toBe(dump);
    expect(logs.map(({ head, ending }) => [head?.version, ending])).toEqual(endings);
  });

  test('opens read-only with exactly its records and stays unchanged', async () => {
    const directory = await copyOf(V3_LOGS, name);
    const before = sumsOf(directory);
    const store = await MetadataStore.open(directory, { readOnly: true });
    expect(dumpOfStore(store)).toBe(dump);
    expect(store.recovery.tornTail === undefined).toBe(name !== 'b-last-range-torn');
    await store.close();
    expect(sumsOf(directory)).toBe(before);
  });

  test('accepts writes, merges and reopens', async () => {
    const directory = await copyOf(V3_LOGS, name);
    const store = await MetadataStore.open(directory);
    await store.insertBatch([{ type: 'put', key: 123_456_789n, value: 1n }]);
    const written = dumpOfStore(store);
    await store.merge();
    expect(dumpOfStore(store)).toBe(written);
    await store.close();
    const { records, snapshot, logs } = decodeDirectory(directory);
    expect(dumpOf(records)).toBe(written);
    // No log of version 3 remains, so older versions can read the directory again.
    expect([snapshot.head.version, logs.length]).toEqual([2, 0]);
  });
});

/** Changes a log's header and its checksum, as a later version would write it. */
async function withVersion(directory: string, number: number, version: number): Promise<void> {
  const path = join(directory, `log_${number.toString(16).padStart(16, '0')}`);
  const bytes = await readFile(path);
  bytes.writeUInt32LE(version, 8);
  const seed = new ChecksumSeed(bytes.subarray(16, 32), 'log', number);
  bytes.writeUInt32LE(seed.checksum(bytes.subarray(0, 124), 0), 124);
  await writeFile(path, bytes);
}

test('an unknown version is refused, and nothing changes', async () => {
  const directory = await copyOf(V3_LOGS, 'c-sealed');
  await withVersion(directory, 3, 4);
  const before = sumsOf(directory);
  const refused = { code: 'LODESTORE_UNSUPPORTED_FORMAT' };
  await expect(MetadataStore.open(directory, { readOnly: true })).rejects.toMatchObject(refused);
  expect(sumsOf(directory)).toBe(before);
  await expect(MetadataStore.open(directory)).rejects.toMatchObject(refused);
});
