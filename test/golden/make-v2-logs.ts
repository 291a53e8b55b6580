/**
 * Made test/golden/v2-logs, once: logs of version 2, whose groups declare which bytes before them
 * were not synced. Kept as documentation; it refuses to run where the directories exist.
 *
 * Run from the package's directory: `node --import ./test/support/register-typescript.mjs
 * test/golden/make-v2-logs.ts`
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { dumpOf, type DumpRecord } from '../support/dump.ts';
import { sumsOf, V2_LOGS } from '../support/golden.ts';
import { noise, text, trimmed, Workshop, type Files } from './workshop.ts';

const DEFERRED = { syncEveryMs: 3_600_000 };
const LOG = 'log_0000000000000001';

function save(name: string, files: Files, dump: string): void {
  mkdirSync(join(V2_LOGS, name), { recursive: true });
  for (const [file, bytes] of trimmed(files)) writeFileSync(join(V2_LOGS, name, file), bytes);
  writeFileSync(join(V2_LOGS, `${name}.dump.txt.gz`), gzipSync(dump, { level: 9 }));
}

function dumpWith(model: ReadonlyMap<bigint, DumpRecord>, keys: readonly bigint[]): string {
  return dumpOf([...model.values()].filter(({ key }) => keys.includes(key)));
}

function without(files: Files, from: number, to: number): Files {
  const bytes = files.get(LOG)!.slice().fill(0, from, to);
  return new Map(files).set(LOG, bytes);
}

if (existsSync(V2_LOGS)) throw new Error(`${V2_LOGS} exists, and is never made again`);
const shop = new Workshop();
await shop.open(undefined, DEFERRED);
const ends: number[] = [];
for (let key = 1; key <= 6; key++) {
  await shop.batch([[key, key * 10, key % 2 === 0 ? noise(300, `${key}`) : text(`key ${key}`)]]);
  ends.push(shop.store.stats().logs.bytes);
  if (key === 3) await shop.store.sync();
}
const files = shop.files();
save('a-groups-not-synced', files, shop.dump());
save('b-group-lost-later-one-kept', without(files, ends[3]!, ends[4]!), dumpWith(shop.model, [1n, 2n, 3n, 4n]));
save('c-first-group-lost-later-ones-kept', new Map([...without(files, 0, ends[0]!)].map(([name, bytes]) => [name, name === LOG ? bytes.slice(0, ends[2]) : bytes])), '');
await shop.store.close();
save('d-synced-and-sealed', shop.files(), shop.dump());
writeFileSync(join(V2_LOGS, 'SHA256SUMS'), sumsOf(V2_LOGS));
