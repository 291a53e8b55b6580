import { expect, test } from 'vitest';
import type { MergedChunks } from '../../src/jobs/merge.ts';
import type { Job, JobResult } from '../../src/jobs/run-job.ts';
import { MetadataStore, WriteBatch } from '../../src/index.ts';
import { CrashFs } from '../../src/testing/index.ts';
import { simulatedEnvironment } from '../../src/testing/open-on.ts';
import { InlineRunner, type JobOptions } from '../../src/threads/job-runner.ts';
import { openStoreIn } from '../../src/store/metadata-store.ts';

const NO_MERGES = { mergeBytes: 2 ** 40 };
const CHUNK_RECORDS = 8_192;

/** Checks every part of a merge's result right after the store has applied it. */
class WatchedRunner extends InlineRunner {
  onPart: (part: MergedChunks) => void = () => undefined;

  override run<J extends Job>(job: J, options: JobOptions = {}): Promise<JobResult<J>> {
    const { onMessage } = options;
    if (onMessage === undefined) return super.run(job, options);
    return super.run(job, {
      ...options,
      onMessage: (part) => {
        onMessage(part);
        this.onPart(part);
      },
    });
  }
}

async function put(store: MetadataStore, from: number, to: number): Promise<void> {
  for (let key = from; key < to; key += 10_000) {
    const batch = new WriteBatch();
    for (let i = key; i < Math.min(key + 10_000, to); i++) batch.put(i, i + 1);
    await store.insertBatch(batch);
  }
}

/** Records in the last chunk of the first snapshot: enough for a separate chunk, or too few. */
test.each([[CHUNK_RECORDS], [500]])(
  'records appended to a snapshot are applied in parts, and reads miss none, after %d records',
  async (lastRecords) => {
    const fs = new CrashFs();
    const runner = new WatchedRunner(fs);
    const environment = { ...simulatedEnvironment(fs), makeRunner: () => runner };
    const open = (): Promise<MetadataStore> => openStoreIn(environment, '/s', NO_MERGES);
    const oldRecords = CHUNK_RECORDS + lastRecords;
    const newRecords = 40 * CHUNK_RECORDS;

    let store = await open();
    await put(store, 0, oldRecords);
    await store.merge();
    await put(store, oldRecords, oldRecords + newRecords);
    await store.close();
    // After a reopen, the log's records are beside the snapshot's, and no newer layer shadows them.
    store = await open();
    await store.insertBatch(new WriteBatch().delete(oldRecords - 1).delete(oldRecords + 7));
    const expected = [...store.keys()];
    expect(expected).toHaveLength(oldRecords + newRecords - 2);

    const parts: { chunks: number; isWhole: boolean }[] = [];
    const sizes: number[] = [];
    runner.onPart = ({ columns, isWhole }) => {
      parts.push({ chunks: columns.length, isWhole });
      sizes.push(...columns.map(({ recordCount }) => recordCount));
      expect(store.size).toBe(expected.length);
      let i = 0;
      for (const key of store.keys())
        if (key !== expected[i++]) expect.fail(`${key} is out of place`);
      expect(i).toBe(expected.length);
    };
    await store.merge();
    expect(parts.length).toBeGreaterThan(2);
    for (const { chunks } of parts) expect(chunks).toBeLessThanOrEqual(18);
    expect(parts.map(({ isWhole }) => isWhole)).toEqual(
      parts.map((_, i) => i === parts.length - 1),
    );
    // No chunk is left small, and most are as full as possible.
    for (const size of sizes.slice(0, -1)) expect(size).toBeGreaterThanOrEqual(CHUNK_RECORDS / 4);
    expect(sizes.filter((size) => size === CHUNK_RECORDS).length).toBeGreaterThanOrEqual(37);
    await store.close();

    store = await open();
    expect([...store.keys()]).toEqual(expected);
    await store.close();
  },
);

test('with updates between the keys of one old chunk, the first part has all its records', async () => {
  const fs = new CrashFs();
  const runner = new WatchedRunner(fs);
  const environment = { ...simulatedEnvironment(fs), makeRunner: () => runner };
  const store = await openStoreIn(environment, '/s', NO_MERGES);
  const lastKey = 20 * CHUNK_RECORDS;
  await store.insertBatch(new WriteBatch().put(0, 1).put(lastKey, 1));
  await store.merge();
  await put(store, 1, lastKey);
  await put(store, lastKey + 1, lastKey + 3 * CHUNK_RECORDS);
  let parts = 0;
  runner.onPart = () => {
    parts++;
    expect(store.has(lastKey)).toBe(true);
    expect([...store.keys({ gte: lastKey - 2, limit: 4 })].map(Number)).toEqual(
      [-2, -1, 0, 1].map((difference) => lastKey + difference),
    );
  };
  await store.merge();
  expect(parts).toBe(2);
  await store.close();
});
