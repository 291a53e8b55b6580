import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ContentSum } from '../../src/format/content-sum.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import { MetadataStore } from '../../src/index.ts';
import { SnapshotWriter } from '../../src/snapshot/snapshot-writer.ts';
import { fingerprint, runCli } from '../support/cli.ts';
import { chunksOf } from '../support/columns.ts';
import { ANCESTOR, copyOf, V1 } from '../support/golden.ts';
import { contentHashOf } from '../support/independent-content-hash.ts';
import { decodeDirectory } from '../support/independent-decoder.ts';
import { STORE_ID } from '../support/small-directory.ts';
import { closedStore } from '../support/store-directory.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const RECORDS = [1n, 2n, 300n].map((key) => ({ key, value: 7n, data: new Uint8Array([5, 6]) }));

/** A store that holds `RECORDS` in a snapshot whose content hash is off by `error`. */
async function storeOff(error: bigint): Promise<{ directory: string; indexOffset: number }> {
  const directory = await temporaryDirectory();
  const file = await nodeFileSystem.open(join(directory, 'snapshot_0000000000000000'), 'wx');
  const predecessor = { number: 0, lengthBytes: 0, lastSequence: 0n, chain: 0 };
  const header = { kind: 'snapshot' as const, storeId: STORE_ID, number: 0, epoch: 0, predecessor };
  const writer = new SnapshotWriter(file, header);
  for (const chunk of chunksOf(RECORDS, 2)) await writer.writeChunk(chunk);
  const indexOffset = writer.lengthBytes;
  writer.addCopiedContent(new ContentSum(error));
  await writer.finish();
  await file.close();
  return { directory, indexOffset };
}

test('hash prints hash, records and last sequence and changes nothing', async () => {
  const directory = await closedStore();
  const before = await fingerprint(directory);
  const store = await MetadataStore.open(directory, { readOnly: true });
  const { hash, records, lastSequence } = await store.contentHash();
  await store.close();
  expect(hash).toBe(contentHashOf(decodeDirectory(directory).records));
  const text = await runCli(['hash', directory]);
  expect([text.code, text.err]).toEqual([0, '']);
  const count = records.toLocaleString('en-US');
  expect(text.out).toBe(`${hash}  ${count} records, last sequence ${lastSequence}\n`);
  const json = await runCli(['hash', '--json', directory]);
  expect(JSON.parse(json.out)).toEqual({ hash, records, lastSequence: String(lastSequence) });
  expect(await fingerprint(directory)).toEqual(before);
});

test('hash works beside an open store', async () => {
  const directory = await temporaryDirectory();
  const store = await MetadataStore.open(directory);
  for (const { key, value, data } of RECORDS) {
    await store.insertBatch([{ type: 'put', key, value, data }]);
  }
  const { code, out } = await runCli(['hash', directory]);
  expect([code, out]).toEqual([0, `${contentHashOf(RECORDS)}  3 records, last sequence 3\n`]);
  // 300 is 0x12c: the keys below 256 share the upper 56 bits.
  const part = await runCli(['hash', '--keyspace', '0/56', directory]);
  const below = RECORDS.filter(({ key }) => key < 256n);
  expect(part.out).toBe(`${contentHashOf(below)}  2 records, last sequence 3\n`);
  await store.close();
});

test.each([
  [V1, 'g2-merged-again-chunks-copied'],
  [ANCESTOR, 'd-snapshot-and-several-logs'],
])('of files that hold none: %s %s', async (collection, name) => {
  const directory = await copyOf(collection, name);
  const store = await MetadataStore.open(directory, { readOnly: true });
  const records = [...store.entries()].map(([key, record]) => ({ key, ...record }));
  await store.close();
  const { out } = await runCli(['hash', directory]);
  expect(out.slice(0, 32)).toBe(contentHashOf(records));
});

test('hash rejects a damaged store', async () => {
  const directory = await closedStore();
  const name = readdirSync(directory).find((file) => file.startsWith('snapshot_')) ?? '';
  const bytes = readFileSync(join(directory, name));
  bytes[200]! ^= 1;
  writeFileSync(join(directory, name), bytes);
  const { code, out, err } = await runCli(['hash', directory]);
  expect([code, out]).toEqual([1, '']);
  expect(err).toContain('is damaged at offset');
});

test('verify reports a wrong content hash in the index as damage', async () => {
  expect((await runCli(['verify', (await storeOff(0n)).directory])).code).toBe(0);
  const { directory, indexOffset } = await storeOff(1n);
  const { code, out, err } = await runCli(['verify', directory]);
  expect(code).toBe(1);
  expect(out).toContain(`offset ${indexOffset}: the records have the content hash`);
  expect(out).toContain(contentHashOf(RECORDS));
  expect(err).toContain('is damaged at offset');
});
