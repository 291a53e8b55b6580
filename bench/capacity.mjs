/**
 * Measures the figures that `lodestore capacity` uses: disk, memory and time to open of stores with
 * many records. Prints one line of JSON per store. Each store is filled in one process and opened
 * in another.
 *
 * - node bench/capacity.mjs [--records 1000000,10000000] [--data-bytes 0,16,100] [--dist PATH]
 *   [--in PATH]
 *
 * Ids ascend or are random u64. Values ascend in the order of writing, like locations in a log of
 * objects. Data are random and therefore incompressible: a store with other data takes less disk.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const HERE = fileURLToPath(import.meta.url);
const { values: options } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000,10000000' },
    'data-bytes': { type: 'string', default: '0,16,100' },
    dist: { type: 'string', default: join(dirname(HERE), '..', 'dist') },
    in: { type: 'string', default: tmpdir() },
    task: { type: 'string' },
    directory: { type: 'string' },
    ascending: { type: 'boolean' },
  },
});

const BATCH_RECORDS = 1_000;
const IN_FLIGHT = 16;
const POOL_BYTES = 32 * 1024 * 1024;

function list(text) {
  return text.split(',').map(Number);
}

async function loadStore() {
  return import(pathToFileURL(join(resolve(options.dist), 'index.js')).href);
}

async function fill(directory, records, dataBytes) {
  const { MetadataStore, WriteBatch } = await loadStore();
  const store = await MetadataStore.open(directory);
  const pool = randomBytes(POOL_BYTES);
  const ids = new BigUint64Array(BATCH_RECORDS);
  let location = 1;
  let peakBytes = 0;
  const waiting = new Set();
  for (let first = 0; first < records; first += BATCH_RECORDS) {
    if (!options.ascending) ids.set(new BigUint64Array(randomBytes(8 * BATCH_RECORDS).buffer));
    const batch = new WriteBatch();
    for (let i = 0; i < Math.min(BATCH_RECORDS, records - first); i++) {
      const id = options.ascending ? first + i + 1 : ids[i];
      const at = Math.floor(Math.random() * (POOL_BYTES - dataBytes));
      location += 4096 + Math.floor(Math.random() * 65_536);
      batch.put(id, location, pool.subarray(at, at + dataBytes));
    }
    const done = store.insertBatch(batch).finally(() => waiting.delete(done));
    waiting.add(done);
    if (waiting.size >= IN_FLIGHT) await Promise.race(waiting);
    const { baseBytes, liveBytes, frozenBytes } = store.stats().memory;
    peakBytes = Math.max(peakBytes, baseBytes + liveBytes + frozenBytes);
  }
  await Promise.all(waiting);
  const { memory } = store.stats();
  await store.merge();
  await store.close();
  return {
    filledTableBytes: memory,
    peakTableBytes: peakBytes,
    filledRssBytes: process.memoryUsage().rss,
  };
}

async function open(directory) {
  const { MetadataStore } = await loadStore();
  const { gc } = globalThis;
  gc();
  const baselineRssBytes = process.memoryUsage().rss;
  const start = performance.now();
  const store = await MetadataStore.open(directory, { readOnly: true });
  const openMs = performance.now() - start;
  const openedRssBytes = process.memoryUsage().rss;
  gc();
  await new Promise((wake) => setTimeout(wake, 200));
  gc();
  const { memory } = store.stats();
  const rssBytes = process.memoryUsage().rss;
  const result = { size: store.size, openMs, tableBytes: memory.baseBytes + memory.liveBytes };
  await store.close();
  return { ...result, baselineRssBytes, openedRssBytes, rssBytes };
}

function inChild(task, directory, records, dataBytes, ascending) {
  const argv = ['--expose-gc', HERE, '--task', task, '--directory', directory];
  argv.push(
    '--dist',
    options.dist,
    '--records',
    String(records),
    '--data-bytes',
    String(dataBytes),
  );
  if (ascending) argv.push('--ascending');
  return JSON.parse(
    execFileSync(process.execPath, argv, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
}

function measure(records, dataBytes, ascending) {
  const directory = mkdtempSync(join(options.in, 'lodestore-capacity-'));
  try {
    const filled = inChild('fill', directory, records, dataBytes, ascending);
    const diskBytes = readdirSync(directory)
      .map((name) => statSync(join(directory, name)))
      .reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0);
    const opened = inChild('open', directory, records, dataBytes, ascending);
    return { records, dataBytes, ascending, diskBytes, ...opened, ...filled };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const tasks = { fill, open };
if (options.task !== undefined) {
  const [records] = list(options.records);
  const [dataBytes] = list(options['data-bytes']);
  process.stdout.write(
    JSON.stringify(await tasks[options.task](options.directory, records, dataBytes)),
  );
} else {
  for (const records of list(options.records)) {
    for (const dataBytes of list(options['data-bytes'])) {
      for (const ascending of [true, false]) {
        process.stdout.write(`${JSON.stringify(measure(records, dataBytes, ascending))}\n`);
      }
    }
  }
}
