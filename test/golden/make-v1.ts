/**
 * Made test/golden/v1, once. Kept as documentation; it refuses to run where the directories exist.
 *
 * Run from the package's directory: `node --import ./test/support/register-typescript.mjs
 * test/golden/make-v1.ts`
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { CrashFs } from '../../src/testing/index.ts';
import { finishAtOnce } from '../../src/base/flow.ts';
import { ChecksumSeed } from '../../src/format/checksum.ts';
import { GroupEncoder, writeBatchTable } from '../../src/log/group-encoder.ts';
import { noise, STORE, text, trimmed, Workshop, type Files } from './workshop.ts';

const TARGET = fileURLToPath(new URL('./v1', import.meta.url));
const ANCESTOR = fileURLToPath(new URL('./ancestor', import.meta.url));
const MAX = 2n ** 64n - 1n;

function save(name: string, files: Files, dump: string): void {
  mkdirSync(join(TARGET, name), { recursive: true });
  for (const [file, bytes] of files) writeFileSync(join(TARGET, name, file), bytes);
  writeFileSync(join(TARGET, `${name}.dump.txt.gz`), gzipSync(dump, { level: 9 }));
}

/** A copy of the files with one of them changed. */
function changed(files: Files, name: string, change: (bytes: Uint8Array) => Uint8Array): Files {
  const bytes = files.get(name);
  if (bytes === undefined) throw new Error(`there is ${name}`);
  return new Map(files).set(name, change(bytes.slice()));
}

async function makeLogs(): Promise<void> {
  const shop = new Workshop();
  await shop.open();
  await shop.store.close();
  save('a-new-and-empty', shop.files(), '');

  await shop.open();
  await shop.batch([
    [0, 1],
    [MAX, MAX, text('the last key')],
    [2n ** 32n, 2n ** 32n, noise(7, 'seven')],
  ]);
  await shop.batch([[1, 2n ** 53n + 1n, text('x'.repeat(3000))]], [2n ** 32n]);
  await shop.batch([], []);
  await shop.batch([[2, 5]], [77]);
  save('b-one-log-unsealed', shop.files(), shop.dump());

  await shop.store.close();
  save('c1-one-log-sealed', shop.files(), shop.dump());
  await shop.open();
  await shop.batch([[3, 33, noise(2000, 'c')]], [0]);
  save('c2-sealed-and-next', trimmed(shop.files()), shop.dump());
}

async function makeRotations(): Promise<void> {
  const shop = new Workshop();
  await shop.open(64 * 1024);
  for (let i = 0; i < 8; i++) {
    await shop.batch(
      [[i, i + 1, noise(34_000, `rotation ${i}`)]],
      [i - 2].filter((k) => k >= 0),
    );
  }
  save('d-rotated-with-riding-seals', trimmed(shop.files()), shop.dump());
}

async function makeGroups(): Promise<void> {
  const shop = new Workshop();
  await shop.open();
  await shop.batch([[500, 1]]);
  await Promise.all(
    Array.from({ length: 40 }, (_, i) =>
      shop.batch(
        i % 7 === 3
          ? []
          : [
              [i, i + 1, text(`batch ${i}`)],
              [500, i + 1],
            ],
        i % 5 === 0 ? [i - 3].filter((k) => k >= 0) : [],
      ),
    ),
  );
  await Promise.all([
    shop.batch([[1000, 1]]),
    shop.batch([
      [1000, 2],
      [1000, 3],
    ]),
    shop.batch([], [1000, 500]),
  ]);
  save('e-groups-of-batches', trimmed(shop.files()), shop.dump());
}

/**
 * Batches without rows. The store does not write them, but a reader must accept them, so they are
 * made as bytes.
 */
async function makeEmptyBatches(): Promise<void> {
  const shop = new Workshop();
  await shop.open();
  await shop.store.close();
  const bytes = new Uint8Array(1024);
  const position = { offset: 0, chain: 0, frameCount: 0, lastSequence: 0n };
  const predecessor = { number: 0, lengthBytes: 0, lastSequence: 0n, chain: 0 };
  const storeId = shop.files().get('snapshot_0000000000000000')!.slice(16, 32);
  const header = { kind: 'log' as const, storeId, number: 1, epoch: 1, predecessor };
  const seed = new ChecksumSeed(storeId, 'log', 1);
  const decoded = new Uint8Array(2 * 20 + 3 * 4);
  decoded.set([7, 0, 0, 0, 0, 0, 0, 0, 1], 0);
  decoded.set([8, 0, 0, 0, 0, 0, 0, 0, 2], 20);
  writeBatchTable(decoded, 40, [1, 0, 1]);
  const encoder = new GroupEncoder();
  const group = { decoded, batchCount: 3, recordCount: 2 };
  const first = finishAtOnce(encoder.encode(position, seed, { header, group, seal: false }));
  bytes.set(first.bytes);
  const empty = { decoded: new Uint8Array(0), batchCount: 1, recordCount: 0 };
  const second = finishAtOnce(
    encoder.encode(first.after, seed, { group: empty, seal: true }),
  );
  bytes.set(second.bytes, first.after.offset);
  const files = shop.files().set('log_0000000000000001', bytes);
  save('e2-batches-without-rows', files, '7 1 \n8 2 \n');
}

async function makeSnapshots(): Promise<void> {
  const shop = new Workshop();
  await shop.open();
  await shop.batch(
    Array.from({ length: 100 }, (_, i) => [i * 3, i + 1, text(`record ${i}`)] as const),
  );
  await shop.store.merge();
  await shop.batch([[1, 1_000_000]], [0, 3, 6]);
  await shop.store.close();
  await shop.open();
  await shop.batch([[2, 7, text('after')]], [9]);
  save('f-snapshot-and-logs', trimmed(shop.files()), shop.dump());

  const wide = new Workshop();
  await wide.open();
  await wide.batch(
    Array.from({ length: 9000 }, (_, i) => [1000 + i, i + 1, text('fixed 8!')] as const),
  );
  await wide.batch(
    Array.from(
      { length: 500 },
      (_, i) =>
        [
          2n ** 40n + BigInt(i * i) * 2n ** 33n,
          2n ** 63n + BigInt(i),
          text('v'.repeat(i % 9)),
        ] as const,
    ),
  );
  await wide.batch(
    Array.from({ length: 300 }, (_, i) => [2n ** 62n + BigInt(i) * 10_007n, 5] as const),
  );
  await wide.batch([
    [0, MAX],
    [1, 1],
    [MAX, MAX, text('end')],
  ]);
  await wide.batch([
    [2n ** 63n, 9, text('z'.repeat(300_000))],
    [2n ** 63n + 1n, 9, noise(20_000, 'raw chunk')],
  ]);
  await wide.batch([[2n ** 63n + 2n, 3]]);
  await wide.store.merge();
  await wide.store.close();
  save('g1-snapshot-of-many-chunks', wide.files(), wide.dump());
  await wide.open();
  await wide.batch([[2n ** 50n, 1]], [0, 1000, 5000, MAX]);
  await wide.store.merge();
  await wide.batch([[4000, 4000, text('other length')]]);
  save('g2-merged-again-chunks-copied', trimmed(wide.files()), wide.dump());
}

/** A directory whose last log ends with a large group, and its records without that group. */
async function tornBase(): Promise<{
  files: Files;
  before: string;
  after: string;
  from: number;
  to: number;
}> {
  const shop = new Workshop();
  await shop.open();
  await shop.batch([[1, 1, noise(600, 'kept')]]);
  await shop.store.close();
  await shop.open();
  await shop.batch([[2, 2, noise(700, 'kept too')]]);
  const before = shop.dump();
  const from = used(shop.files());
  await shop.batch([[3, 3, noise(2000, 'torn')]], [1]);
  return { files: trimmed(shop.files()), before, after: shop.dump(), from, to: used(shop.files()) };
}

const LAST = 'log_0000000000000002';

function used(files: Files): number {
  const bytes = files.get(LAST)!;
  let end = bytes.length;
  while (bytes[end - 1] === 0) end--;
  return end;
}

async function makeTorn(): Promise<void> {
  const { files, before, after, from, to } = await tornBase();
  const torn = (name: string, change: (bytes: Uint8Array) => Uint8Array): void =>
    save(name, changed(files, LAST, change), before);
  save('h0-not-torn', files, after);
  torn('h1-cut-in-frame-header', (bytes) => bytes.slice(0, from + 20));
  torn('h2-cut-in-payload', (bytes) => bytes.slice(0, from + 1000));
  torn('h3-cut-before-last-byte', (bytes) => bytes.slice(0, to - 1));
  torn('h4-zeros-from-a-sector-on', (bytes) => bytes.fill(0, 2048));
  torn('h5-head-lost', (bytes) => bytes.fill(0, from, 1024));
  torn('h6-sector-lost', (bytes) => bytes.fill(0, 1536, 2048));
  torn('h7-junk-behind', (bytes) => bytes.fill(0xa5, from + 500));
  torn('h8-cut-between-frames', (bytes) => bytes.slice(0, from));
  save(
    'h9-blank-log-of-junk',
    changed(
      new Map(files).set('log_0000000000000003', new Uint8Array(4096)),
      'log_0000000000000003',
      (bytes) => bytes.fill(0x61),
    ),
    after,
  );
}

async function makeTornFirstGroups(): Promise<void> {
  const shop = new Workshop();
  await shop.open();
  await shop.batch([[1, 1, text('before')]]);
  await shop.store.close();
  const before = shop.dump();
  await shop.open();
  await shop.batch([[2, 2, noise(1500, 'first group')]]);
  const files = trimmed(shop.files());
  save(
    'i1-first-group-head-lost',
    changed(files, LAST, (bytes) => bytes.fill(0, 0, 512)),
    before,
  );
  save(
    'i2-first-group-cut',
    changed(files, LAST, (bytes) => bytes.slice(0, 700)),
    before,
  );

  const riding = new Workshop();
  await riding.open(64 * 1024);
  await riding.batch([[1, 1, noise(66_000, 'fills the log')]]);
  const acknowledged = riding.dump();
  await riding.batch([[2, 2, noise(3000, 'rides')]]);
  const log = 'log_0000000000000001';
  save(
    'i3-riding-seal-without-its-group',
    changed(trimmed(riding.files()), log, (bytes) => bytes.fill(0, 67_072, 67_584)),
    acknowledged,
  );
}

async function makeLeftovers(): Promise<void> {
  const shop = new Workshop();
  await shop.open();
  await shop.batch([
    [1, 1, text('one')],
    [2, 2, text('two')],
  ]);
  await shop.store.close();
  const old = shop.files();
  await shop.open();
  await shop.batch([[3, 3, text('three')]], [1]);
  await shop.store.merge();
  await shop.batch([[4, 4]]);
  const files = new Map([...old, ...trimmed(shop.files())]);
  files.set('snapshot_0000000000000003.tmp', new Uint8Array(0));
  files.set('snapshot_0000000000000004.tmp', files.get('snapshot_0000000000000002')!.slice(0, 150));
  save('j-leftovers-of-merges', files, shop.dump());
}

async function makeBehindAncestor(): Promise<void> {
  const source = 'c-snapshot-and-live-log';
  const files: Record<string, Uint8Array> = {};
  for (const name of readdirSync(join(ANCESTOR, source))) {
    files[`${STORE}/${name}`] = new Uint8Array(readFileSync(join(ANCESTOR, source, name)));
  }
  const shop = new Workshop(CrashFs.withFiles(files, { trace: false }));
  await shop.open();
  for (const [key, { value, data }] of shop.store.entries())
    shop.model.set(key, { key, value, data });
  const [first] = shop.model.keys();
  await shop.batch([[7_000_000, 7, text('ours')]], [first!]);
  save('k-our-log-behind-the-ancestors', trimmed(shop.files()), shop.dump());
}

function saveSums(): void {
  const lines: string[] = [];
  for (const entry of readdirSync(TARGET, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const sum = createHash('sha256').update(readFileSync(path)).digest('hex');
    lines.push(`${sum}  ${path.slice(TARGET.length + 1)}\n`);
  }
  writeFileSync(join(TARGET, 'SHA256SUMS'), lines.sort().join(''));
}

if (existsSync(TARGET))
  throw new Error('test/golden/v1 is there: frozen bytes are not written again');
await makeLogs();
await makeRotations();
await makeGroups();
await makeEmptyBatches();
await makeSnapshots();
await makeTorn();
await makeTornFirstGroups();
await makeLeftovers();
await makeBehindAncestor();
saveSums();
