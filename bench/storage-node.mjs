// @ts-check
/**
 * The bars of the storage node's engine, as ratios where the machine matters: `node
 * bench/storage-node.mjs [--objects N] [--names N] [--directory D] [--only puts,names]`, after `npm
 * run build`. Each part runs in a process of its own, so that none inherits the memory of another.
 */
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, open, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { StorageNode } from 'lodestore-node';

const { values } = parseArgs({
  options: {
    objects: { type: 'string', default: '50000' },
    names: { type: 'string', default: '1000000' },
    directory: { type: 'string', default: tmpdir() },
    only: { type: 'string', default: 'puts,deferred,compaction,names' },
  },
});
const OBJECTS = Number(values.objects);
const NAMES = Number(values.names);
const wanted = values.only.split(',');
const META = { headers: { 'content-type': 'application/octet-stream' } };
let directory = values.directory;

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

/**
 * @param {StorageNode} node
 * @param {Buffer} body
 * @returns {(name: string) => Promise<unknown>}
 */
function putterOf(node, body) {
  const etag = createHash('md5').update(body).digest('hex');
  return (name) => node.put('b', name, [body], { describe: () => ({ etag, meta: META }) });
}

/**
 * @param {number} clients
 * @param {number | Promise<unknown>} until so many calls, or until it resolves
 * @param {(i: number) => Promise<unknown>} work
 */
async function measure(clients, until, work) {
  /** @type {number[]} */
  const latencies = [];
  let next = 0;
  let isOver = false;
  if (typeof until !== 'number') void until.then(() => (isOver = true));
  const isWanted = () => (typeof until === 'number' ? next < until : !isOver);
  const cpu = process.cpuUsage();
  const start = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (isWanted()) {
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
    count: latencies.length,
    cpuMicroseconds: (user + system) / latencies.length,
    p99: latencies[Math.floor(0.99 * latencies.length)] ?? 0,
    perSecond: (1000 * latencies.length) / (performance.now() - start),
  };
}

/** @param {string} name @param {number} [compactBytesPerSecond] */
function openNode(name, compactBytesPerSecond = 0) {
  return StorageNode.open(join(directory, name), {
    upkeepMs: 0,
    volumeBytes: 32 * 2 ** 20,
    compactDeadRatio: 0.3,
    scrubBytesPerSecond: 0,
    reserveFileBytes: 0,
    compactBytesPerSecond,
  });
}

async function puts() {
  const node = await openNode('puts');
  await node.createBucket('b');
  const body = randomBytes(1024);
  const put = putterOf(node, body);
  // Far from ascending, as names that clients hash are.
  /** @param {number} i */
  const nameOf = (i) => `prefix-${i % 97}/2026/11/object-${(i * 7919) % OBJECTS}`;
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
    await file.writeFile(body);
    await file.sync();
    await file.close();
  });
  report('CPU of a PUT, 16 clients, without HTTP', at16.cpuMicroseconds, 'us', 280);
  const ratio = at16.cpuMicroseconds / perFile.cpuMicroseconds;
  report('  against a file per object with fsync', ratio, 'x', 1);
  await node.close();
}

/** A bucket with deferred acknowledgement against a synced one, of one node, in turns. */
async function deferred() {
  const node = await openNode('deferred');
  await node.createBucket('b');
  await node.createBucket('d', { mode: 'keep', acknowledge: 'deferred' });
  const body = randomBytes(1024);
  const etag = createHash('md5').update(body).digest('hex');
  const options = { describe: () => ({ etag, meta: META }) };
  const totals = { b: { ms: 0, syncs: 0 }, d: { ms: 0, syncs: 0 } };
  const rounds = 4;
  const count = Math.ceil(OBJECTS / 10 / rounds);
  for (let round = 0; round < rounds; round++) {
    for (const bucket of /** @type {const} */ (['b', 'd'])) {
      const before = (await node.figures()).writes.volumeSyncs;
      const start = performance.now();
      await measure(16, count, (i) => node.put(bucket, `${round}/${i}`, [body], options));
      // Its writing counts, too.
      await node.flush();
      totals[bucket].ms += performance.now() - start;
      totals[bucket].syncs += (await node.figures()).writes.volumeSyncs - before;
    }
  }
  const total = rounds * count;
  const ratio = totals.b.ms / totals.d.ms;
  report('PUT/s with deferred acknowledgement, 16 clients', ratio, 'x', 1, true);
  console.log(
    `  ${((1000 * total) / totals.d.ms).toFixed(0)} of ${((1000 * total) / totals.b.ms).toFixed(0)} PUT/s, ` +
      `${(totals.d.syncs / total).toFixed(4)} of ${(totals.b.syncs / total).toFixed(4)} syncs per PUT`,
  );
  await checkedClose(node);
}

/** MB/s of a copy of all volumes, each synced. @param {string} volumes */
async function plainCopy(volumes) {
  const to = join(directory, 'copy');
  let copied = 0;
  const start = performance.now();
  for (const name of await readdir(volumes)) {
    await copyFile(join(volumes, name), to);
    const copy = await open(to, 'r+');
    await copy.datasync();
    await copy.close();
    copied += (await stat(to)).size;
  }
  const rate = copied / 1000 / (performance.now() - start);
  await rm(to);
  return rate;
}

/**
 * Two of three objects are deleted, so that all sealed volumes are worth compacting.
 *
 * @param {string} name
 * @param {number} sizeBytes
 * @param {number} count
 * @param {number} [compactBytesPerSecond]
 */
async function withGarbage(name, sizeBytes, count, compactBytesPerSecond) {
  const node = await openNode(name, compactBytesPerSecond);
  await node.createBucket('b');
  const put = putterOf(node, randomBytes(sizeBytes));
  await measure(64, count, (i) => put(`${i % 97}/${i}`));
  await measure(64, count, async (i) =>
    i % 3 === 0 ? undefined : node.delete('b', `${i % 97}/${i}`),
  );
  await node.settled();
  return { node, put };
}

/** @param {StorageNode} node */
async function checkedClose(node) {
  await node.settled();
  const recount = await node.recount();
  if (!recount.isExact) throw new Error(`the recount differs: ${JSON.stringify(recount)}`);
  await node.close();
}

async function compaction() {
  for (const [sizeBytes, count] of /** @type {const} */ ([
    [65_536, 4_000],
    [1_024, 100_000],
  ])) {
    const name = `compaction-${sizeBytes}`;
    const { node } = await withGarbage(name, sizeBytes, count);
    const copyRate = await plainCopy(join(directory, name, 'volumes'));
    const start = performance.now();
    const cpu = process.cpuUsage();
    await node.compact();
    const milliseconds = performance.now() - start;
    const { user, system } = process.cpuUsage(cpu);
    const { rescuedRecords, skippedRecords, reclaimedBytes } = (await node.figures()).compaction;
    const readBytes = reclaimedBytes;
    report(
      `compaction of ${sizeBytes / 1024} KiB objects against a plain copy`,
      readBytes / 1000 / milliseconds / copyRate,
      'x',
      0.6,
      true,
    );
    const records = rescuedRecords + skippedRecords;
    console.log(
      `  ${(readBytes / 1000 / milliseconds).toFixed(0)} of ${copyRate.toFixed(0)} MB/s, ${records} records, ${((user + system) / records).toFixed(1)} us of CPU each`,
    );
    await checkedClose(node);
  }
  // At the default rate.
  const { node, put } = await withGarbage('beside', 16_384, 24_000, 256 * 2 ** 20);
  const quiet = await measure(16, 4_000, (i) => put(`quiet/${i}`));
  const busy = await measure(16, node.compact(), (i) => put(`busy/${i}`));
  report('p99 of a PUT during compaction', busy.p99 / quiet.p99, 'x', 2);
  console.log(`  ${busy.p99.toFixed(1)} ms against ${quiet.p99.toFixed(1)}, ${busy.count} PUTs`);
  await checkedClose(node);
}

async function names() {
  const made = await openNode('names');
  await made.createBucket('b');
  await putterOf(made, randomBytes(1024))('first');
  await made.close();
  const filling = performance.now();
  // In a process of its own, whose memory is not counted here.
  const fill = fileURLToPath(new URL('./storage-node-bulk.mjs', import.meta.url));
  execFileSync(process.execPath, [fill, join(directory, 'names'), 'b', String(NAMES)]);
  console.log(`  ${NAMES} objects in ${((performance.now() - filling) / 1000).toFixed(0)} s`);
  global.gc?.();
  const memory = () => {
    const { heapUsed, arrayBuffers, external } = process.memoryUsage();
    return heapUsed + Math.max(arrayBuffers, external);
  };
  const rssBefore = process.memoryUsage().rss;
  const empty = memory();
  const opening = performance.now();
  const cpu = process.cpuUsage();
  const node = await openNode('names');
  const openMs = performance.now() - opening;
  const { user, system } = process.cpuUsage(cpu);
  report('opening, per 10 million objects', (openMs * 1e7) / NAMES / 1000, 's', 1);
  console.log(`  ${openMs.toFixed(0)} ms, ${((user + system) / 1000).toFixed(0)} ms of CPU`);
  global.gc?.();
  const rssBytes = process.memoryUsage().rss - rssBefore;
  report('memory per object', rssBytes / NAMES, 'B', 50);
  console.log(
    `  resident set; heap and buffers alone ${((memory() - empty) / NAMES).toFixed(0)} B`,
  );
  /** @param {number} i */
  const page = (i) => {
    const at = Math.floor((((i * 7919) % 1000) / 1000) * NAMES);
    const after = `prefix-${String(Math.floor(at / 100_000)).padStart(4, '0')}/2026/11/object-${String(at).padStart(10, '0')}`;
    return node.list('b', { after, limit: 1000 });
  };
  await measure(1, 20, page);
  const pages = await measure(1, 100, page);
  report(`CPU of a page of 1,000 names, ${NAMES} objects`, pages.cpuMicroseconds / 1000, 'ms', 3);
  await node.close();
}

const PARTS = { puts, deferred, compaction, names };

/** @param {string} part */
async function run(part) {
  if (!(part in PARTS)) throw new RangeError(`--only has ${Object.keys(PARTS).join(', ')}`);
  directory = await mkdtemp(join(values.directory, 'lodestore-node-bench-'));
  try {
    await PARTS[/** @type {keyof typeof PARTS} */ (part)]();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** @param {string} part */
function runApart(part) {
  const { objects, names: count, directory: parent } = values;
  const options = ['--only', part, '--objects', objects, '--names', count, '--directory', parent];
  const script = fileURLToPath(import.meta.url);
  execFileSync(process.execPath, ['--expose-gc', script, ...options], { stdio: 'inherit' });
}

if (wanted.length === 1 && global.gc !== undefined) await run(wanted[0] ?? '');
else for (const part of wanted) runApart(part);
