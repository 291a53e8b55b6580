import { performance } from 'node:perf_hooks';
import { memoryNow, peakBytes, resetPeak, settleMemory } from '../lib/memory.mjs';
import { duration, many, megabytes, number } from '../lib/number-text.mjs';
import { goal } from '../lib/section.mjs';
import { keyAt, RECORD_BYTES } from '../lib/workload.mjs';
import { loadPeer } from '../peers/index.mjs';

export const place = 12;
export const title = 'Scale';

const MILLION = 1_000_000;
const TIMEOUT_MS = 1_800_000;

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const sizes = [];
  for (const millions of context.pick(context.scale, [0.2])) {
    const count = millions * MILLION;
    const { directory } = await context.fixtures.get('lodestore', 'ascending', count);
    const samples = [];
    for (let round = 0; round < context.pick(3, 1); round++) {
      const job = { directory, count };
      samples.push(await context.child('scale', job, { timeoutMs: TIMEOUT_MS }));
    }
    const warm = [];
    await context.child('scale', { kind: 'merge', directory }, { timeoutMs: TIMEOUT_MS });
    for (let round = 0; round < context.pick(3, 1); round++) {
      const job = { kind: 'warm', directory, count };
      warm.push(await context.child('scale', job, { timeoutMs: TIMEOUT_MS }));
    }
    context.fixtures.drop('lodestore', 'ascending', count);
    sizes.push({ count, samples, warm });
    context.log(`${millions} million`);
  }
  return { sizes };
}

/** @param {{ kind?: 'merge' | 'warm', directory: string, count: number }} job */
export async function measure(job) {
  if (job.kind === 'merge') return merge(job);
  return job.kind === 'warm' ? measureWarm(job) : measureOpen(job);
}

async function merge({ directory }) {
  const { store } = await (await loadPeer('lodestore')).open(directory);
  await store.merge();
  await store.close();
  return {};
}

async function measureWarm({ directory, count }) {
  const peer = await loadPeer('lodestore');
  const start = performance.now();
  const store = await peer.open(directory, { warm: 'background' });
  if (store.get(keyAt('ascending', count >> 1)) === undefined) throw new Error('a record is lost');
  const firstGetMs = performance.now() - start;
  await store.close();
  return { firstGetMs };
}

async function measureOpen({ directory, count }) {
  const peer = await loadPeer('lodestore');
  await settleMemory();
  const before = memoryNow();
  resetPeak();
  const start = performance.now();
  const store = await peer.open(directory);
  if (store.get(keyAt('ascending', count - 1)) === undefined) throw new Error('a record is lost');
  const openMs = performance.now() - start;
  const peak = peakBytes();
  await settleMemory();
  const settled = memoryNow().rss - before.rss;
  await store.close();
  return { openMs, settled, peak: peak - before.rss };
}

/** @type {(result: any) => import('../lib/section.mjs').Section} */
export function report({ sizes }) {
  const shown = sizes.map(({ count, samples, warm }) => {
    const best = middleOf(samples, 'openMs');
    const { firstGetMs } = middleOf(warm, 'firstGetMs');
    return { count, ...best, perMillionMs: best.openMs / (count / MILLION), firstGetMs };
  });
  const rows = shown.map((one) => [
    many(one.count),
    duration(one.openMs),
    duration(one.perMillionMs),
    duration(one.firstGetMs),
    `${number(one.settled / one.count - RECORD_BYTES, 1)} bytes`,
    `${number(one.peak / one.settled, 2)} x`,
    megabytes(one.settled),
  ]);
  const head = [
    'records',
    'open',
    'per million',
    'first get, in the background',
    'beyond the data',
    'peak',
    'in all',
  ];
  const charts = [
    chartOf(shown, 'scale-time', 'Seconds until the first get', ({ openMs }) => openMs / 1000),
    chartOf(shown, 'scale-memory', 'Megabytes of memory', ({ settled }) => settled / MILLION),
  ];
  return { text: TEXT, tables: [{ head, rows }], charts, goals: goalsOf(shown) };
}

const TEXT =
  'Opening a store of ascending keys, as its load has left it, in a fresh process, files in the page cache, until the first get; a record ' +
  `is ${RECORD_BYTES} bytes of data. Memory is the growth of the resident set once the store has settled, per record and less the data, and its peak ` +
  'while opening. "In the background" is the first get of open(directory, { warm: \'background\' }), right after a merge. Medians of three.';

function chartOf(shown, name, heading, valueOf) {
  const bars = shown.map((one) => {
    const value = valueOf(one);
    return { label: `${many(one.count)} records`, value, text: number(value, 1), ours: true };
  });
  return { name, title: heading, bars };
}

function goalsOf(shown) {
  const goals = [
    goal(
      'at most 50 ms per million',
      Math.max(...shown.map(({ perMillionMs }) => perMillionMs)),
      { atMost: 50 },
      duration,
    ),
    goal(
      'at most 20 bytes beyond the data, settled',
      Math.max(...shown.map(({ count, settled }) => settled / count - RECORD_BYTES)),
      { atMost: 20 },
      (value) => `${number(value, 1)} bytes`,
    ),
    goal(
      'peak of open at most 1.5 x settled',
      Math.max(...shown.map(({ peak, settled }) => peak / settled)),
      { atMost: 1.5 },
      (value) => `${number(value, 2)} x`,
    ),
  ];
  const largest = shown.find(({ count }) => count === 100 * MILLION);
  if (largest !== undefined) {
    const what = 'first get at 100 million, in the background: at most 150 ms';
    goals.push(goal(what, largest.firstGetMs, { atMost: 150 }, duration));
  }
  return goals;
}

function middleOf(samples, field) {
  return [...samples].sort((a, b) => a[field] - b[field])[samples.length >> 1];
}
