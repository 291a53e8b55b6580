import { statSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { deviceBytesWritten } from '../lib/machine.mjs';
import { duration, many, megabytes, number, rate, times } from '../lib/number-text.mjs';
import { goal } from '../lib/section.mjs';
import { batchOf, RECORD_BYTES } from '../lib/workload.mjs';
import { loadPeer } from '../peers/index.mjs';

export const place = 10;
export const title = 'Appending to a large store';

const BATCH = 1_000;

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const count = context.pick(5_000_000, 100_000);
  const job = { count };
  const cases = [{ id: 'lodestore', peer: 'lodestore', job }];
  return { count, cases: await context.rounds('ascending', cases, 1) };
}

function snapshotBytes(directory) {
  const name = readdirSync(directory).find((file) => /^snapshot_[0-9a-f]{16}$/.test(file));
  return name === undefined ? 0 : statSync(join(directory, name)).size;
}

async function append(store, from, count) {
  const start = performance.now();
  for (let done = 0; done < count; done += BATCH) {
    await store.put(batchOf('ascending', from + done, from + done + BATCH));
  }
  await store.settle();
  return performance.now() - start;
}

/** @param {{ directory: string, count: number }} job */
export async function measure({ directory, count }) {
  const store = await (await loadPeer('lodestore')).open(directory);
  await append(store, 0, count);
  await store.store.merge();
  const before = store.store.stats();
  const firstBytes = snapshotBytes(directory);
  const bytesBefore = deviceBytesWritten(directory);
  const milliseconds = await append(store, count, count);
  await store.store.merge();
  const deviceBytes = deviceBytesWritten(directory) - bytesBefore;
  const after = store.store.stats();
  await store.close();
  return {
    milliseconds,
    firstBytes,
    lastBytes: snapshotBytes(directory),
    merges: after.merges.completed - before.merges.completed,
    encodedChunks: after.merges.encodedChunks - before.merges.encodedChunks,
    copiedChunks: after.merges.copiedChunks - before.merges.copiedChunks,
    logBytes: after.commits.writtenBytes - before.commits.writtenBytes,
    deviceBytes,
  };
}

/** @type {(result: any) => import('../lib/section.mjs').Section} */
export function report({ count, cases }) {
  const [{ samples, error }] = cases;
  if (samples.length === 0) return { text: `Failed: ${error}`, tables: [], charts: [], goals: [] };
  const [one] = samples;
  // Chunks of one store are all but equally long: the share of records is the share of bytes.
  const chunkBytes = one.firstBytes / chunksOf(count);
  const encodedBytes = one.encodedChunks * chunkBytes;
  const newBytes = one.lastBytes - one.firstBytes;
  const rows = [
    ['new records, as data', megabytes(count * RECORD_BYTES)],
    ['new records, as the snapshot holds them', megabytes(newBytes)],
    ['merges', number(one.merges)],
    ['chunks encoded', `${number(one.encodedChunks)}, about ${megabytes(encodedBytes)}`],
    [
      'chunks copied as they are',
      `${number(one.copiedChunks)}, about ${megabytes(one.copiedChunks * chunkBytes)}`,
    ],
    ['written to logs', megabytes(one.logBytes)],
    ['written to the device, by all', megabytes(one.deviceBytes)],
    ['time', `${duration(one.milliseconds)}, ${rate((1000 * count) / one.milliseconds)}`],
  ];
  const bar = (label, value, ours) => ({ label, value: value / 1e6, text: megabytes(value), ours });
  return {
    text:
      `${many(count)} records with ascending keys are appended by ${number(BATCH)} to a store that holds ${many(count)} smaller ones. A merge encodes the chunks that ` +
      'the new keys touch and copies the others as compressed bytes.',
    tables: [{ head: ['', ''], rows }],
    charts: [
      {
        name: 'ascending',
        title: 'Megabytes, for the records appended',
        bars: [
          bar('new data in the snapshot', newBytes, false),
          bar('chunks encoded', encodedBytes, true),
          bar('chunks copied', one.copiedChunks * chunkBytes, true),
          bar('logs', one.logBytes, true),
        ],
      },
    ],
    goals: [
      goal(
        'bytes of chunks encoded at most 1.5 x the new data',
        encodedBytes / newBytes,
        { atMost: 1.5 },
        times,
      ),
    ],
  };
}

const CHUNK_RECORDS = 8_192;
const chunksOf = (count) => Math.ceil(count / CHUNK_RECORDS);
