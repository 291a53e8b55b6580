import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MetadataStore } from '../../src/store/metadata-store.ts';
import { dumpOf, dumpOfStore, readDump } from '../support/dump.ts';
import { copyOf, goldenNames, sha256, sumsOf, V2_LOGS } from '../support/golden.ts';
import { decodeDirectory } from '../support/independent-decoder.ts';

/** How the log of each ends, and the last sequence that was unsynced and lost with its end. */
const ENDINGS: Readonly<Record<string, readonly [string, bigint | undefined]>> = {
  'a-groups-not-synced': ['end', undefined],
  'b-group-lost-later-one-kept': ['torn', 6n],
  'c-first-group-lost-later-ones-kept': ['torn', 3n],
  'd-synced-and-sealed': ['sealed', undefined],
};

test('the frozen bytes of logs of version 2 are unchanged', () => {
  const list = readFileSync(join(V2_LOGS, 'SHA256SUMS'), 'utf8');
  expect(sha256(list)).toBe('aaa4d9e8d8773c4c39d2a8151f6eb88d4ed0c51177c62d5105fdef9f645056e3');
  expect(sumsOf(V2_LOGS)).toBe(list);
  expect(goldenNames(V2_LOGS)).toEqual(Object.keys(ENDINGS));
});

describe.each(Object.entries(ENDINGS))('%s', (name, [ending, unsyncedUpTo]) => {
  const dump = readDump(join(V2_LOGS, `${name}.dump.txt.gz`));

  test("the independent decoder reads the records and the log's ending", () => {
    const { records, logs } = decodeDirectory(join(V2_LOGS, name));
    expect(dumpOf(records)).toBe(dump);
    expect(logs.map((log) => log.ending)).toEqual([ending]);
  });

  test('opens read-only with exactly its records and stays unchanged', async () => {
    const directory = await copyOf(V2_LOGS, name);
    const before = sumsOf(directory);
    const store = await MetadataStore.open(directory, { readOnly: true });
    expect(dumpOfStore(store)).toBe(dump);
    expect(store.recovery.tornTail?.unsyncedUpTo).toBe(unsyncedUpTo);
    await store.close();
    expect(sumsOf(directory)).toBe(before);
  });

  test('accepts writes and reopens', async () => {
    const directory = await copyOf(V2_LOGS, name);
    const store = await MetadataStore.open(directory);
    await store.insertBatch([{ type: 'put', key: 123_456_789n, value: 1n }]);
    const written = dumpOfStore(store);
    await store.close();
    expect(dumpOf(decodeDirectory(directory).records)).toBe(written);
  });
});
