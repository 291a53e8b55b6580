import { performance } from 'node:perf_hooks';
import { medians, spread } from '../lib/figures.mjs';
import { watchLoop } from '../lib/loop-delay.mjs';
import { memoryNow, peakBytes, resetPeak } from '../lib/memory.mjs';
import { duration, number, rate, withSpread } from '../lib/number-text.mjs';
import { goal } from '../lib/section.mjs';

export const place = 15;
export const title = 'Hot keys and tombstones';

const MIB = 1024 * 1024;
/** Beyond live data: 32 MiB of dead rows make a merge due, and as much may arrive while it runs. */
const GOAL_MIB = 384;

const CASES = [
  { name: 'one key of 16 KiB', keys: 1, dataBytes: 16 * 1024, batch: 16 },
  { name: '1,000 keys of 16 KiB', keys: 1_000, dataBytes: 16 * 1024, batch: 16 },
  { name: 'one key of 1 KiB', keys: 1, dataBytes: 1024, batch: 100 },
  { name: 'puts, then deletes of all', keys: 0, dataBytes: 200, batch: 2_000 },
];

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const rowBytes = context.pick(800 * MIB, 64 * MIB);
  const cases = CASES.map((one) => ({ id: one.name, peer: one.name, job: { ...one, rowBytes } }));
  return { rowBytes, cases: await context.rounds('superseded', cases, context.pick(3, 1)) };
}

/** @param {any} job */
export async function measure({ directory, keys, dataBytes, batch, rowBytes }) {
  const { MetadataStore, WriteBatch } = await import('../../dist/index.js');
  let store = await MetadataStore.open(directory);
  resetPeak();
  const before = memoryNow().rss;
  // Data that take almost no disk, so that only memory makes a merge due.
  const data = new Uint8Array(dataBytes);
  const updates = Math.ceil(rowBytes / (dataBytes + 20) / batch) * batch;
  const puts = keys === 0 ? updates / 2 : updates;
  const loopDelay = watchLoop();
  const start = performance.now();
  for (let from = 0; from < updates; from += batch) {
    const made = new WriteBatch();
    for (let i = from; i < from + batch; i++) {
      data[0] = i;
      if (i >= puts) made.delete(i - puts);
      else made.put(keys === 0 ? i : i % keys, i + 1, data);
    }
    await store.insertBatch(made);
  }
  const writeMs = performance.now() - start;
  const delay = loopDelay();
  const writtenPeak = peakBytes() - before;
  const { merges, memory } = store.stats();
  const keptBytes = memory.baseBytes + memory.liveBytes + memory.frozenBytes;
  await store.close();
  resetPeak();
  const openStart = performance.now();
  store = await MetadataStore.open(directory);
  const openMs = performance.now() - openStart;
  await store.close();
  return {
    updatesPerSecond: (1000 * updates) / writeMs,
    merges: merges.completed,
    peakMib: writtenPeak / MIB,
    keptMib: keptBytes / MIB,
    openMs,
    ...delay,
  };
}

/** @type {(result: any) => import('../lib/section.mjs').Section} */
export function report({ rowBytes, cases }) {
  const shown = cases.filter((one) => one.samples.length > 0);
  const mib = (value) => `${number(value)} MiB`;
  const rows = shown.map(({ peer, samples }) => {
    const middle = medians(samples);
    return [
      peer,
      rate(middle.updatesPerSecond),
      number(middle.merges),
      withSpread(spread(samples.map((one) => one.peakMib)), mib),
      mib(middle.keptMib),
      `${number(middle.openMs)} ms`,
      duration(middle.delayP50),
      duration(middle.delayP99),
    ];
  });
  const worst = Math.max(...shown.flatMap(({ samples }) => samples.map((one) => one.peakMib)));
  return {
    text:
      `${number(rowBytes / MIB)} MiB of rows whose data compress to nearly nothing, so that the logs stay short. Peak: the resident ` +
      'set above that of the open store before, its merges included. Kept: what `stats().memory` says at the end.',
    tables: [{ head: HEAD, rows }],
    charts: [],
    goals: [goal(`peak at most ${GOAL_MIB} MiB`, worst, { atMost: GOAL_MIB }, mib)],
  };
}

const HEAD = [
  '',
  'updates/s',
  'merges',
  'peak',
  'kept',
  'open',
  'loop delay p50',
  'loop delay p99',
];
