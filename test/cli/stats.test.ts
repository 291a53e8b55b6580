import { randomBytes } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MetadataStore } from '../../src/index.ts';
import { fingerprint, runCli } from '../support/cli.ts';
import { ANCESTOR, copyOf } from '../support/golden.ts';
import {
  closedStore,
  flipByte,
  insertBatches,
  namesIn,
  SMALL_LOGS,
} from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { nth } from '../support/nth.ts';

interface StatsJson {
  readonly records: number;
  readonly dataBytes: number;
  readonly lastSequence: string;
  readonly fileBytes: number;
  readonly snapshot: {
    readonly records: number;
    readonly storedBytes: number;
    readonly rowBytes: number;
  };
  readonly logs: {
    readonly count: number;
    readonly batches: number;
    readonly updates: number;
    readonly storedBytes: number;
    readonly rowBytes: number;
  };
  readonly merge: {
    readonly isDue: boolean;
    readonly dueBytes: number;
    readonly freedBytes: number;
  };
  readonly files: readonly { readonly name: string; readonly bytes: number | null }[];
}

async function statsOf(directory: string): Promise<StatsJson> {
  const { code, out, err } = await runCli(['stats', '--json', directory]);
  expect([code, err]).toEqual([0, '']);
  return JSON.parse(out) as StatsJson;
}

test('stats prints exact counts from the files', async () => {
  const directory = await closedStore();
  const before = await fingerprint(directory);
  const figures = await statsOf(directory);
  expect(figures).toMatchObject({
    records: 3_000,
    dataBytes: 300_000,
    lastSequence: '300',
    snapshot: { records: 200, rowBytes: 200 * 120 },
    logs: { batches: 280, updates: 2_800, rowBytes: 2_800 * 120 },
    merge: { isDue: false, dueBytes: 8 * 1024 * 1024 },
  });
  let bytes = 0;
  for (const name of await readdir(directory)) bytes += (await stat(join(directory, name))).size;
  expect(figures.fileBytes).toBe(bytes);
  expect(figures.files.map((file) => file.name).sort()).toEqual((await readdir(directory)).sort());
  expect(await fingerprint(directory)).toEqual(before);
  const { out } = await runCli(['stats', directory]);
  expect(out).toContain('records    3,000, with 300,000 bytes of data');
  expect(out).toMatch(/snapshot {3}number 1, .* for .* of rows \(\d+\.\d : 1\), 200 records/);
  expect(out).toContain('merge      not due before');
});

test('many logs make a merge due, as in an open store', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, SMALL_LOGS);
  const data = randomBytes(64 * 1024);
  for (let key = 0; store.stats().logs.count <= 65; key++) {
    await store.insertBatch([{ type: 'put', key, value: 1, data }]);
  }
  await store.close();
  expect((await statsOf(directory)).merge.isDue).toBe(true);
  expect((await runCli(['stats', directory])).out).toContain('merge      due');
});

test("stats works beside an open store and on the ancestor's files, and counts each key once", async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  await insertBatches(store, 0, 20);
  await store.merge();
  await store.insertBatch([
    { type: 'del', key: 5 },
    { type: 'put', key: 6, value: 1 },
    { type: 'put', key: 7_000, value: 1, data: new Uint8Array(7) },
  ]);
  expect(await statsOf(directory)).toMatchObject({ records: 200, dataBytes: 198 * 100 + 7 });
  await store.close();
  const ancestor = await copyOf(ANCESTOR, 'd-snapshot-and-several-logs');
  expect((await statsOf(ancestor)).records).toBe(1_282);
  const { out } = await runCli(['stats', ancestor]);
  expect(out).toContain('records    1,282');
});

test('stats of a damaged store reports the damage and no figures', async () => {
  const directory = await closedStore();
  const log = nth(await namesIn(directory, 'log_'), 0);
  await flipByte(directory, log, 200);
  const { code, out, err } = await runCli(['stats', directory]);
  expect([code, out]).toEqual([1, '']);
  expect(err).toContain(`${log} is damaged`);
  await rm(join(directory, nth(await namesIn(directory, 'snapshot_'), 0)));
  expect((await runCli(['stats', directory])).code).toBe(1);
});

test('a merge is due by the memory that it frees, as in an open store', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory, { mergeBytes: 2 ** 40 });
  const keys = Array.from({ length: 1_000 }, (_, key) => key);
  const data = new Uint8Array(40_000);
  for (const half of [keys.slice(0, 500), keys.slice(500)]) {
    await store.insertBatch(half.map((key) => ({ type: 'put', key, value: 1, data })));
  }
  await store.merge();
  await store.insertBatch(keys.map((key) => ({ type: 'del', key })));
  await store.close();
  const { merge, logs } = await statsOf(directory);
  expect(merge).toMatchObject({ isDue: true, freedBytes: 1_000 * (20 + 40_000 + 20) });
  expect(logs.storedBytes).toBeLessThan(merge.dueBytes);
  const { out } = await runCli(['stats', directory]);
  expect(out).toMatch(/^merge +due: it frees 38 MiB of rows in memory$/m);
  const again = await MetadataStore.open(directory);
  await again.insertBatch([{ type: 'put', key: 1, value: 1 }]);
  expect(again.stats().merges.state).toBe('running');
  await again.close();
});
