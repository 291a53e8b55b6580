import { statSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { medians, spread } from '../lib/figures.mjs';
import { watchLoop } from '../lib/loop-delay.mjs';
import { deviceBytesWritten } from '../lib/machine.mjs';
import { duration, many, megabytes, number, rate, times, withSpread } from '../lib/number-text.mjs';
import { goal } from '../lib/section.mjs';
import { batchOf, RECORD_BYTES } from '../lib/workload.mjs';
import { loadPeer } from '../peers/index.mjs';

export const place = 10;
export const title = 'Appending to a large store';

const BATCH = 1_000;

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const count = context.pick(5_000_000, 100_000);
  const { directory: source } = await context.fixtures.merged('ascending', count);
  const cases = [{ id: 'lodestore', peer: 'lodestore', source, job: { count } }];
  return { count, cases: await context.rounds('ascending', cases, context.pick(3, 1)) };
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

/**
 * The second half is merged when the store itself decides; an explicit merge at the end would
 * rewrite the whole store for a few records.
 * @param {{ directory: string, count: number }} job
 */
export async function measure({ directory, count }) {
  const { store, ...peer } = await (await loadPeer('lodestore')).open(directory);
  const before = store.stats();
  const firstBytes = snapshotBytes(directory);
  const bytesBefore = deviceBytesWritten(directory);
  const loopDelay = watchLoop();
  const milliseconds = await append({ store, ...peer }, count, count);
  const delay = loopDelay();
  if (store.stats().merges.completed === before.merges.completed) await store.merge();
  const deviceBytes = deviceBytesWritten(directory) - bytesBefore;
  const after = store.stats();
  await store.close();
  const since = (name) => after.merges[name] - before.merges[name];
  return {
    milliseconds,
    firstBytes,
    lastBytes: snapshotBytes(directory),
    merges: since('completed'),
    encodedChunks: since('encodedChunks'),
    encodedBytes: since('encodedBytes'),
    copiedChunks: since('copiedChunks'),
    copiedBytes: since('copiedBytes'),
    logBytes: after.commits.writtenBytes - before.commits.writtenBytes,
    unmergedBytes: after.logs.bytes,
    deviceBytes,
    ...delay,
  };
}

/** @type {(result: any) => import('../lib/section.mjs').Section} */
export function report({ count, cases }) {
  const [{ samples, error }] = cases;
  if (samples.length === 0) return { text: `Failed: ${error}`, tables: [], charts: [], goals: [] };
  const one = medians(samples);
  const newBytes = one.lastBytes - one.firstBytes;
  const rewrittenBytes = one.encodedBytes + one.copiedBytes - newBytes;
  const rows = [
    ['records appended, as data', megabytes(count * RECORD_BYTES)],
    ['written to logs', megabytes(one.logBytes)],
    ['of these not merged yet', megabytes(one.unmergedBytes)],
    ['merges', number(one.merges)],
    ['new data, as the snapshot holds them', megabytes(newBytes)],
    ['chunks encoded', `${number(one.encodedChunks)}, ${megabytes(one.encodedBytes)}`],
    ['chunks copied as they are', `${number(one.copiedChunks)}, ${megabytes(one.copiedBytes)}`],
    ['old data written again', megabytes(rewrittenBytes)],
    ['written to the device, by all', megabytes(one.deviceBytes)],
    ['time', withSpread(spread(samples.map(({ milliseconds }) => milliseconds)), duration)],
    ['records', rate((1000 * count) / one.milliseconds)],
    ['loop delay p50', duration(one.delayP50)],
    ['loop delay p99', duration(one.delayP99)],
  ];
  const bar = (label, value, ours) => ({ label, value: value / 1e6, text: megabytes(value), ours });
  return {
    text:
      `${many(count)} records with ascending keys are appended by ${number(BATCH)} to a store that holds ${many(count)} smaller ones. A merge encodes the chunks that ` +
      'the new keys touch and copies the others as compressed bytes: a new file, so that those bytes are written again. It is due when the logs hold ' +
      'as much as the snapshot, so that each byte of new data has about one old byte written again.',
    tables: [{ head: ['', ''], rows }],
    charts: [
      {
        name: 'ascending',
        title: 'Megabytes, for the records appended',
        bars: [
          bar('logs', one.logBytes, false),
          bar('new data in the snapshot', newBytes, false),
          bar('chunks encoded', one.encodedBytes, true),
          bar('chunks copied', one.copiedBytes, true),
        ],
      },
    ],
    goals: [
      goal(
        'old data written again, copied or encoded, at most 1.5 x the new data',
        rewrittenBytes / newBytes,
        { atMost: 1.5 },
        times,
      ),
      goal(
        'chunks encoded at most 1.5 x the new data',
        one.encodedBytes / newBytes,
        { atMost: 1.5 },
        times,
      ),
    ],
  };
}
