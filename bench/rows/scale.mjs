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
    context.fixtures.drop('lodestore', 'ascending', count);
    sizes.push({ count, samples });
    context.log(`${millions} million`);
  }
  return { sizes };
}

/** @param {{ directory: string, count: number }} job */
export async function measure({ directory, count }) {
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
  const shown = sizes.map(({ count, samples }) => ({ count, best: middleOf(samples) }));
  const perMillion = shown.map(({ count, best }) => best.openMs / (count / MILLION));
  const rows = shown.map(({ count, best }, i) => [
    many(count),
    duration(best.openMs),
    duration(perMillion[i]),
    `${number(best.settled / count, 1)} bytes`,
    `${number(best.peak / count, 1)} bytes`,
    megabytes(best.settled),
  ]);
  const bars = shown.map(({ count }, i) => ({
    label: `${many(count)} records`,
    value: perMillion[i],
    text: duration(perMillion[i]),
    ours: true,
  }));
  return {
    text: `Opening a store of ascending keys in a fresh process, files in the page cache, until the first get; a record is ${RECORD_BYTES} bytes of data. Median of three.`,
    tables: [{ head: ['records', 'open', 'per million', 'memory', 'peak', 'in all'], rows }],
    charts: [
      { name: 'scale', title: 'Milliseconds of opening per million records, less is better', bars },
    ],
    goals: [goal('at most 50 ms per million', Math.max(...perMillion), { atMost: 50 }, duration)],
  };
}

function middleOf(samples) {
  return [...samples].sort((a, b) => a.openMs - b.openMs)[samples.length >> 1];
}
