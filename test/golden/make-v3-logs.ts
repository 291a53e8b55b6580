/**
 * Made test/golden/v3-logs, once: logs of version 3, which have deletes of intervals of keys. Kept
 * as documentation; it refuses to run where the directories exist.
 *
 * Run from the package's directory: `node --import ./test/support/register-typescript.mjs
 * test/golden/make-v3-logs.ts`
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { WriteBatch } from '../../src/index.ts';
import { sumsOf, V3_LOGS } from '../support/golden.ts';
import { text, trimmed, Workshop, type Files } from './workshop.ts';

const LOG = 'log_0000000000000003';

function save(name: string, files: Files, dump: string): void {
  mkdirSync(join(V3_LOGS, name), { recursive: true });
  for (const [file, bytes] of trimmed(files)) writeFileSync(join(V3_LOGS, name, file), bytes);
  writeFileSync(join(V3_LOGS, `${name}.dump.txt.gz`), gzipSync(dump, { level: 9 }));
}

function forget(from: bigint, to: bigint): void {
  for (const key of shop.model.keys()) if (key >= from && key <= to) shop.model.delete(key);
}

if (existsSync(V3_LOGS)) throw new Error(`${V3_LOGS} exists, and is never made again`);
const shop = new Workshop();
await shop.open();
const MOST = 2n ** 64n - 1n;
// Log 1 is merged, log 2 is of version 2, log 3 of version 3.
await shop.batch([1, 2, 3, 5, 8, 13, 21].map((key) => [key, key * 10, text(`key ${key}`)]));
await shop.batch([[MOST, 7, text('the highest key')]]);
await shop.store.merge();
await shop.batch([[4, 40], [9, 90, text('nine')], [2n ** 63n, 3]], [21]);
await shop.store.insertBatch(
  new WriteBatch().put(6, 60).put(30, 300).deleteRange({ gte: 3, lt: 9 }).put(5, 55).delete(1),
);
for (const [key, value] of [[30n, 300n], [5n, 55n]] as const) shop.model.set(key, { key, value, data: new Uint8Array() });
for (const key of [1n, 3n, 4n, 6n, 8n]) shop.model.delete(key);
await shop.batch([[7, 70, text('behind the range')]]);
const before = shop.dump();
await shop.store.insertBatch(new WriteBatch().deleteRange({ gt: 30 }).deleteRange({ gte: 2, lte: 2 }));
forget(31n, MOST);
forget(2n, 2n);
save('a-ranges-behind-a-snapshot', shop.files(), shop.dump());
const torn = shop.files().get(LOG)!.slice();
let last = torn.length;
while (last > 0 && torn[last - 1] === 0) last--;
save('b-last-range-torn', new Map(shop.files()).set(LOG, torn.fill(0, last - 9)), before);
await shop.store.close();
save('c-sealed', shop.files(), shop.dump());
writeFileSync(join(V3_LOGS, 'SHA256SUMS'), sumsOf(V3_LOGS));
