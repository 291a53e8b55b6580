// @ts-check
/**
 * Measures the storage node's engine against its targets, as ratios where the machine matters:
 * `node bench/storage-node.mjs [--objects N] [--directory D]`, after `npm run build`.
 */
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, open, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { StorageNode } from 'lodestore-node';

const { values } = parseArgs({
  options: {
    objects: { type: 'string', default: '50000' },
    directory: { type: 'string', default: tmpdir() },
  },
});
const OBJECTS = Number(values.objects);
const BODY = Buffer.alloc(1024, 'body ');
const ETAG = createHash('md5').update(BODY).digest('hex');
const META = { headers: { 'content-type': 'application/octet-stream' } };

/**
 * @param {string} what
 * @param {number} value
 * @param {string} unit
 * @param {number} bar
 * @param {boolean} [isLeast]
 */
function report(what, value, unit, bar, isLeast = false) {
  const isMet = isLeast ? value >= bar : value <= bar;
  const verdict = isMet ? 'met' : 'MISSED';
  const limit = `${isLeast ? 'at least' : 'at most'} ${bar}`;
  console.log(
    `${what.padEnd(52)} ${value.toPrecision(3).padStart(9)} ${unit.padEnd(8)} ${limit}: ${verdict}`,
  );
}

/** @param {number} i */
function nameOf(i) {
  // Far from ascending, like names that clients hash.
  const n = (i * 7919) % OBJECTS;
  return `prefix-${n % 97}/2026/11/object-${String(n).padStart(9, '0')}`;
}

/**
 * @param {number} clients
 * @param {number} count
 * @param {(i: number) => Promise<unknown>} work
 */
async function measure(clients, count, work) {
  /** @type {number[]} */
  const latencies = [];
  let next = 0;
  const cpu = process.cpuUsage();
  const start = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (next < count) {
        const i = next++;
        const from = performance.now();
        await work(i);
        latencies.push(performance.now() - from);
      }
    }),
  );
  const { user, system } = process.cpuUsage(cpu);
  latencies.sort((one, other) => one - other);
  return {
    cpuMicroseconds: (user + system) / count,
    p99: latencies[Math.floor(0.99 * latencies.length)] ?? 0,
    perSecond: (1000 * count) / (performance.now() - start),
  };
}

const directory = await mkdtemp(join(values.directory, 'lodestore-node-bench-'));
/** @param {number} upkeepMs */
const openNode = (upkeepMs) =>
  StorageNode.open(join(directory, 'data'), {
    upkeepMs,
    volumeBytes: 32 * 2 ** 20,
    compactDeadRatio: 0.3,
    scrubBytesPerSecond: 0,
  });
let node = await openNode(0);
await node.createBucket('b');
/** @param {string} name */
const put = (name) => node.put('b', name, [BODY], { describe: () => ({ etag: ETAG, meta: META }) });

global.gc?.();
const memory = () => {
  const { heapUsed, arrayBuffers, external } = process.memoryUsage();
  return heapUsed + Math.max(arrayBuffers, external);
};
const before = await node.figures();
const at64 = await measure(64, OBJECTS, (i) => put(nameOf(i)));
const after = await node.figures();
const syncs = after.writes.volumeSyncs - before.writes.volumeSyncs;
report('volume syncs per PUT, 64 clients', syncs / OBJECTS, '', 0.1);
console.log(`  ${at64.perSecond.toFixed(0)} PUT/s, p99 ${at64.p99.toFixed(1)} ms`);
const at16 = await measure(16, 5000, (i) => put(`sixteen/${i}`));
const files = join(directory, 'files');
await mkdir(files);
const perFile = await measure(16, 2000, async (i) => {
  const file = await open(join(files, String(i)), 'wx');
  await file.writeFile(BODY);
  await file.sync();
  await file.close();
});
report('CPU of a PUT, 16 clients, without HTTP', at16.cpuMicroseconds, 'us', 280);
report(
  '  against a file per object with fsync',
  at16.cpuMicroseconds / perFile.cpuMicroseconds,
  'x',
  1,
);

await node.settled();
await node.close();
const opening = performance.now();
node = await openNode(0);
const openMs = performance.now() - opening;
report('opening, per 10 million objects', (openMs * 1e7) / OBJECTS / 1000, 's', 1);
global.gc?.();
const loaded = memory();
console.log(
  `  opened in ${openMs.toFixed(0)} ms, memory per object ${(loaded / OBJECTS).toFixed(0)} B with the process itself`,
);
for (let round = 0; round < 2; round++) {
  const pages = await measure(1, Math.min(20, Math.ceil(OBJECTS / 1000)), (i) =>
    node.list('b', { after: `prefix-${i}/`, limit: 1000 }),
  );
  if (round === 1)
    report(
      `CPU of a page of 1,000 names, ${OBJECTS} objects`,
      pages.cpuMicroseconds / 1000,
      'ms',
      3,
    );
}

// Two of three objects are deleted, so that all volumes are worth compacting.
await measure(64, OBJECTS, async (i) => (i % 3 === 0 ? undefined : node.delete('b', nameOf(i))));
await node.settled();
const quiet = await measure(16, 4000, (i) => put(`quiet/${i}`));
const space = await node.figures();
const liveBytes = space.volumes.reduce((sum, { liveBytes: one }) => sum + one, 0);
const allBytes = space.volumes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
const started = performance.now();
const compaction = node.compact();
const busy = await measure(16, 4000, (i) => put(`busy/${i}`));
await compaction;
const seconds = (performance.now() - started) / 1000;
report('p99 of a PUT during compaction', busy.p99 / quiet.p99, 'x', 2);
const volumes = join(directory, 'data', 'volumes');
let copied = 0;
const copying = performance.now();
for (const name of await readdir(volumes)) {
  await copyFile(join(volumes, name), join(directory, 'copy'));
  const copy = await open(join(directory, 'copy'), 'r+');
  await copy.datasync();
  await copy.close();
  copied += (await stat(join(directory, 'copy'))).size;
}
const copyRate = copied / (performance.now() - copying);
report(
  'compaction, bytes read, against a plain copy',
  allBytes / 1000 / seconds / copyRate,
  'x',
  0.6,
  true,
);
console.log(
  `  ${(liveBytes / 2 ** 20).toFixed(0)} MiB live of ${(allBytes / 2 ** 20).toFixed(0)} in ${seconds.toFixed(1)} s, writes beside it`,
);
await node.settled();
const recount = node.recount();
console.log(
  recount.isExact ? 'the recount is exact' : `the recount differs: ${JSON.stringify(recount)}`,
);
await node.close();
await rm(directory, { recursive: true });
