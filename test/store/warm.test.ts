import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { CorruptionError, StoreClosedError, StorePoisonedError } from '../../src/base/errors.ts';
import { MetadataStore, openStoreIn } from '../../src/store/metadata-store.ts';
import type { StoreEnvironment } from '../../src/store/open/environment.ts';
import type { OpenOptions } from '../../src/store/open/options.ts';
import { WriteBatch } from '../../src/store/batch/write-batch.ts';
import type { Job, JobResult } from '../../src/jobs/run-job.ts';
import { InlineRunner, type JobRunner, type JobOptions } from '../../src/threads/job-runner.ts';
import { CrashFs } from '../../src/testing/crash-fs.ts';
import { openOn, simulatedEnvironment } from '../../src/testing/open-on.ts';

const DIRECTORY = '/store';
const RECORDS = 30_000;
/** Keeps merges from being due. */
const QUIET = { mergeBytes: 1e12 };

function put(from: number, to: number, value: number, step = 1): WriteBatch {
  const batch = new WriteBatch();
  for (let key = from; key < to; key += step) {
    batch.put(key, value, Uint8Array.of(key & 255, (key >> 8) & 255, value));
  }
  return batch;
}

/** A store of four chunks with empty logs. */
async function merged(): Promise<CrashFs> {
  const fs = new CrashFs();
  await fs.makeDirectory(DIRECTORY);
  const store = await openOn(fs, DIRECTORY, QUIET);
  await store.insertBatch(put(0, RECORDS, 1));
  await store.merge();
  await store.close();
  return fs;
}

async function snapshotPath(fs: CrashFs): Promise<string> {
  const names = await fs.readDirectory(DIRECTORY);
  const snapshot = names.find(({ name }) => name.startsWith('snapshot_'));
  return `${DIRECTORY}/${snapshot?.name}`;
}

/** Changes one byte at a quarter of the file: in the second of four chunks. */
async function damageSecondChunk(fs: CrashFs): Promise<void> {
  const file = await fs.open(await snapshotPath(fs), 'r+');
  const { sizeBytes } = await file.stat();
  const byte = new Uint8Array(1);
  const position = Math.floor(sizeBytes * 0.4);
  await file.read(byte, position);
  await file.write(Uint8Array.of(byte[0]! ^ 1), position);
  await file.dataSync();
  await file.close();
}

const background = { ...QUIET, warm: 'background' } as const;

/** Runs nothing until the gate opens. */
class HeldRunner implements JobRunner {
  readonly parallelism = 1;
  readonly #inner: JobRunner;
  readonly #gate: Promise<void>;

  constructor(inner: JobRunner, gate: Promise<void>) {
    this.#inner = inner;
    this.#gate = gate;
  }

  async run<J extends Job>(job: J, options: JobOptions = {}): Promise<JobResult<J>> {
    const aborted = new Promise<void>((resolve) => {
      options.signal?.addEventListener('abort', () => resolve());
    });
    await Promise.race([this.#gate, aborted]);
    options.signal?.throwIfAborted();
    return this.#inner.run(job, options);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

/** Opens a store that reads nothing in the background until it is released. */
async function openHeld(
  fs: CrashFs,
  options: OpenOptions,
): Promise<{ store: MetadataStore; letGo: () => void }> {
  let letGo = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let runners = 0;
  const inline = new InlineRunner(fs);
  const environment: StoreEnvironment = {
    ...simulatedEnvironment(fs),
    // The first runner is recovery's.
    makeRunner: () => (runners++ === 0 ? inline : new HeldRunner(inline, gate)),
  };
  return { store: await openStoreIn(environment, DIRECTORY, options), letGo };
}

describe("opening with warm: 'background'", () => {
  test('reads before everything is in memory agree with a normal open', async () => {
    const fs = await merged();
    const { store, letGo } = await openHeld(fs, { ...background, readOnly: true });
    expect(store.stats().warming.chunksLeft).toBe(4);
    expect(store.size).toBe(RECORDS);
    expect(store.get(20_000)).toEqual({ value: 1n, data: Uint8Array.of(32, 78, 1) });
    expect(store.has(RECORDS)).toBe(false);
    expect(store.stats().warming.chunksLeft).toBe(3);
    expect([...store.keys({ gte: 8_000, lt: 9_000 })]).toHaveLength(1_000);
    const warmed = once(store, 'warmed');
    letGo();
    await store.warmed();
    await warmed;
    expect(store.stats().warming.chunksLeft).toBe(0);
    expect([...store.keys()]).toHaveLength(RECORDS);
    await store.close();
  });

  test('with updates in the logs, the size is exact at once and all records are correct', async () => {
    const fs = await merged();
    const writer = await openOn(fs, DIRECTORY, QUIET);
    await writer.insertBatch(put(9_000, 12_000, 2, 3));
    const deletes = new WriteBatch();
    for (let key = 10_000; key < 10_100; key++) deletes.delete(key);
    await writer.insertBatch(deletes);
    await writer.insertBatch(put(RECORDS, RECORDS + 50, 3));
    const expected = [...writer.entries()];
    await writer.close();
    const { store } = await openHeld(fs, { ...background, readOnly: true });
    // Only the chunk with the updates has been read.
    expect(store.stats().warming.chunksLeft).toBe(3);
    expect(store.size).toBe(expected.length);
    expect([...store.entries()]).toEqual(expected);
    await store.close();
  });

  test('writes and merges wait until everything is in memory, and then continue', async () => {
    const fs = await merged();
    const { store, letGo } = await openHeld(fs, background);
    const written = store.insertBatch(put(0, 100, 5)).then(() => store.stats().warming.chunksLeft);
    const mergedAll = store.merge();
    // Many more turns than a commit takes there.
    for (let i = 0; i < 100; i++) await new Promise((resume) => setImmediate(resume));
    expect(store.stats().queue.batches).toBe(1);
    expect(store.get(7)?.value).toBe(1n);
    expect(store.stats().warming.chunksLeft).toBe(3);
    letGo();
    expect(await written).toBe(0);
    await mergedAll;
    await store.merge();
    expect(store.size).toBe(RECORDS);
    expect(store.get(7)?.value).toBe(5n);
    await store.close();
    const again = await openOn(fs, DIRECTORY, QUIET);
    expect(again.get(7)?.value).toBe(5n);
    expect(again.size).toBe(RECORDS);
    await again.close();
  });

  test('a merge requested at once includes the records of the logs', async () => {
    const fs = await merged();
    const writer = await openOn(fs, DIRECTORY, QUIET);
    await writer.insertBatch(put(20_000, 20_010, 8));
    await writer.close();
    const store = await openOn(fs, DIRECTORY, background);
    await store.merge();
    expect(store.get(20_005)?.value).toBe(8n);
    expect(store.size).toBe(RECORDS);
    await store.close();
  });

  test('damage in one chunk is an error only of reads in it', async () => {
    const fs = await merged();
    await damageSecondChunk(fs);
    await expect(openOn(fs, DIRECTORY, QUIET)).rejects.toThrow(CorruptionError);
    const store = await openOn(fs, DIRECTORY, { ...background, readOnly: true });
    const damaged = once(store, 'damaged');
    await expect(store.warmed()).rejects.toThrow(CorruptionError);
    expect((await damaged)[0]).toBeInstanceOf(CorruptionError);
    expect(store.stats().warming.chunksLeft).toBe(1);
    for (const key of [0, 20_000, 29_999]) expect(store.get(key)?.value).toBe(1n);
    for (let i = 0; i < 2; i++) expect(() => store.get(9_000)).toThrow(CorruptionError);
    expect(() => store.has(9_000)).toThrow(CorruptionError);
    const seen: bigint[] = [];
    expect(() => {
      for (const key of store.keys()) seen.push(key);
    }).toThrow(CorruptionError);
    expect(seen).toHaveLength(8_192);
    await store.close();
  });

  test('damage found late stops writes: none is acknowledged beside unknown records', async () => {
    const fs = await merged();
    await damageSecondChunk(fs);
    const store = await openOn(fs, DIRECTORY, background);
    await expect(store.insertBatch(put(0, 1, 9))).rejects.toThrow(StorePoisonedError);
    await expect(store.merge()).rejects.toThrow(StorePoisonedError);
    expect(store.get(0)?.value).toBe(1n);
    await store.close();
    await expect(openOn(fs, DIRECTORY, QUIET)).rejects.toThrow(CorruptionError);
  });

  test('a close stops the background reads', async () => {
    const fs = await merged();
    const { store } = await openHeld(fs, background);
    const keys = store.keys();
    expect(keys.next().value).toBe(0n);
    const warmed = store.warmed();
    await Promise.all([expect(warmed).rejects.toThrow(StoreClosedError), store.close()]);
    expect(() => [...keys]).toThrow(StoreClosedError);
    const again = await openOn(fs, DIRECTORY, QUIET);
    expect(again.size).toBe(RECORDS);
    await again.close();
  });

  test('a close does not wait for the background reads that a follower waits for', async () => {
    const fs = await merged();
    const follow = { everyMs: 60_000 };
    const { store } = await openHeld(fs, { ...background, readOnly: true, follow });
    const failures: Error[] = [];
    store.on('followFailed', (error) => failures.push(error));
    const refreshed = [store.refresh(), store.refresh()];
    await Promise.all([
      ...refreshed.map((one) => expect(one).rejects.toThrow(StoreClosedError)),
      store.close(),
    ]);
    expect(store.stats().warming.chunksLeft).toBe(4);
    expect(failures).toEqual([]);
  });

  test('an older snapshot is removed only after all of the newer one has been read', async () => {
    const fs = await merged();
    const path = await snapshotPath(fs);
    const copy = await fs.open(`${DIRECTORY}/snapshot_0000000000000000`, 'wx');
    await copy.write(new Uint8Array(100), 0);
    await copy.close();
    await damageSecondChunk(fs);
    await expect(openOn(fs, DIRECTORY, background)).rejects.toThrow(CorruptionError);
    const names = (await fs.readDirectory(DIRECTORY)).map(({ name }) => name);
    expect(names).toContain('snapshot_0000000000000000');
    expect(path).not.toContain('snapshot_0000000000000000');
  });

  test('a batch that cannot wait for the rest is refused as busy', async () => {
    const fs = await merged();
    const inline = { ...background, commits: 'inline' } as const;
    const { store, letGo } = await openHeld(fs, inline);
    const batch = [{ type: 'put' as const, key: 1, value: 2 }];
    expect(() => store.insertBatchSync(batch)).toThrow(
      expect.objectContaining({ code: 'LODESTORE_BUSY', reason: 'warming' }),
    );
    letGo();
    await store.warmed();
    store.insertBatchSync(batch);
    expect(store.get(1)?.value).toBe(2n);
    await store.close();
  });

  test('cannot be combined with salvage, which reads everything', async () => {
    const fs = await merged();
    const options = { warm: 'background', recovery: 'salvage' } as const;
    await expect(openOn(fs, DIRECTORY, options)).rejects.toThrow(RangeError);
    const wrong = { warm: 'hot' } as unknown as Parameters<typeof openOn>[2];
    await expect(openOn(fs, DIRECTORY, wrong)).rejects.toThrow('options.warm');
  });
});

test('a store opened without the option is warm', async () => {
  const fs = await merged();
  const store: MetadataStore = await openOn(fs, DIRECTORY, QUIET);
  await store.warmed();
  expect(store.stats().warming).toEqual({ chunksLeft: 0 });
  await store.close();
});
