/**
 * Made test/golden/v2, once: snapshots of version 2. Kept as documentation; it refuses to run where
 * the directories exist.
 *
 * Run from the package's directory: `node --import ./test/support/register-typescript.mjs
 * test/golden/make-v2.ts`
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { CrashFs } from '../../src/testing/index.ts';
import { sumsOf, V1 } from '../support/golden.ts';
import { noise, STORE, text, trimmed, Workshop } from './workshop.ts';

const TARGET = fileURLToPath(new URL('./v2', import.meta.url));
const MAX = 2n ** 64n - 1n;

function save(name: string, shop: Workshop): void {
  mkdirSync(join(TARGET, name), { recursive: true });
  for (const [file, bytes] of trimmed(shop.files())) {
    writeFileSync(join(TARGET, name, file), bytes);
  }
  writeFileSync(join(TARGET, `${name}.dump.txt.gz`), gzipSync(shop.dump(), { level: 9 }));
}

/** The result of each merge, without a log after it. */
async function makeSnapshots(): Promise<void> {
  const shop = new Workshop();
  await shop.open();
  await shop.store.close();
  save('a-new-and-empty', shop);
  await shop.open();
  await shop.batch([
    [0, 1],
    [2n ** 32n, 2n ** 32n + 1n, text('over 32 bits')],
    [MAX, MAX, noise(333, 'the last key')],
  ]);
  await shop.store.merge();
  await shop.store.close();
  save('b-one-chunk', shop);
  await shop.open();
  await shop.batch(
    Array.from({ length: 20_000 }, (_, i) => [1000 + 3 * i, i + 1, text(`${i % 100}`)] as const),
  );
  await shop.store.merge();
  await shop.store.close();
  save('c1-many-chunks', shop);
  await shop.open();
  await shop.batch([[1001, 1, text('between')]], [0, 1003, 999_999]);
  await shop.store.merge();
  await shop.store.close();
  save('c2-merged-again-chunks-copied', shop);
}

/** The first merge of a snapshot without a content hash. */
async function makeUpgrade(): Promise<void> {
  const source = 'g1-snapshot-of-many-chunks';
  const files: Record<string, Uint8Array> = {};
  for (const name of readdirSync(join(V1, source))) {
    files[`${STORE}/${name}`] = new Uint8Array(readFileSync(join(V1, source, name)));
  }
  const shop = new Workshop(CrashFs.withFiles(files, { trace: false }));
  await shop.open();
  for (const [key, { value, data }] of shop.store.entries()) {
    shop.model.set(key, { key, value, data });
  }
  await shop.batch([[2n ** 63n + 5n, 5, text('new')]], [0]);
  await shop.store.merge();
  await shop.store.close();
  save('d-merged-from-version-1', shop);
}

if (existsSync(TARGET))
  throw new Error('test/golden/v2 is there: frozen bytes are not written again');
await makeSnapshots();
await makeUpgrade();
writeFileSync(join(TARGET, 'SHA256SUMS'), sumsOf(TARGET));
