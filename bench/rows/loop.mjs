import { join } from 'node:path';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { MetadataStore, WriteBatch } from 'lodestore';
import { medians, spread } from '../lib/figures.mjs';
import { duration, many, withSpread } from '../lib/number-text.mjs';
import { goal } from '../lib/section.mjs';
import { keyAt } from '../lib/workload.mjs';

export const place = 13;
export const title = 'What could hold up the event loop';

const TIMER_MS = 1;
const BATCH = 20_000;
/** Everything stays in the live table and in logs. */
const NO_MERGE = { mergeBytes: 2 ** 40, durability: { syncEveryMs: 1_000 } };

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const rows = context.pick(3_000_000, 100_000);
  const logRows = context.pick(1_600_000, 50_000);
  const job = { peer: 'lodestore', rows, logRows };
  const cases = [{ id: 'lodestore', peer: 'lodestore', job }];
  return { rows, logRows, cases: await context.rounds('loop', cases, context.pick(3, 1)) };
}

async function fill(store, count) {
  for (let i = 0; i < count;) {
    const batch = new WriteBatch();
    for (const end = Math.min(i + BATCH, count); i < end; i++)
      batch.put(keyAt('random', i), BigInt(i + 1));
    await store.insertBatch(batch);
  }
}

/** Longest delay of the event loop beyond the timer's own period while `job` runs. */
async function delayWhile(job) {
  const delays = monitorEventLoopDelay({ resolution: TIMER_MS });
  delays.enable();
  await job();
  delays.disable();
  return Math.max(0, delays.max / 1e6 - TIMER_MS);
}

/** Wall time, and time of the processor, of something that the event loop waits for. */
function timed(job) {
  const cpu = process.cpuUsage();
  const from = performance.now();
  job();
  const ms = performance.now() - from;
  const { user, system } = process.cpuUsage(cpu);
  return { ms, cpuMs: (user + system) / 1_000 };
}

/** @param {any} job */
export async function measure({ directory, rows, logRows }) {
  const other = join(directory, 'other');
  const filled = await MetadataStore.open(other, NO_MERGE);
  await fill(filled, logRows);
  await filled.close();
  const store = await MetadataStore.open(join(directory, 'own'), NO_MERGE);
  await fill(store, rows);
  const first = timed(() => store.entries({ limit: 1 }).next());
  await store.insertBatch(new WriteBatch().put(1n, 1n));
  const next = timed(() => store.keys({ gte: 5n, limit: 1 }).next());
  const idle = await delayWhile(() => sleep(1_000));
  const open = await delayWhile(async () => {
    const opened = await MetadataStore.open(other);
    await opened.close();
  });
  await store.close();
  return {
    firstMs: first.ms,
    firstCpuMs: first.cpuMs,
    nextMs: next.ms,
    nextCpuMs: next.cpuMs,
    idleMs: idle,
    openMs: open,
  };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ rows, logRows, cases }) {
  const [{ samples }] = cases;
  const middle = medians(samples);
  const of = (field) => withSpread(spread(samples.map((one) => one[field])), duration);
  return {
    text:
      `${many(rows)} rows of random keys in the live table, none of them merged: the first step of the first iterator, and ` +
      `of one after one more write. Then a second store, with logs of ${many(logRows)} random keys, is opened beside the ` +
      'first: the longest delay of monitorEventLoopDelay() beyond its timer, and that of an idle second before. Time of the ' +
      'processor leaves out what other processes of the machine take.',
    tables: [
      {
        head: ['', 'longest', 'time of the processor'],
        rows: [
          ['first step of the first iterator', of('firstMs'), of('firstCpuMs')],
          ['first step after one more write', of('nextMs'), of('nextCpuMs')],
          ['nothing else', of('idleMs'), ''],
          ['a second store opens', of('openMs'), ''],
        ],
      },
    ],
    charts: [],
    goals: [
      goal('first step of an iterator: at most 5 ms', middle.firstCpuMs, { atMost: 5 }, duration),
      goal('a second store opens: at most 5 ms', middle.openMs, { atMost: 5 }, duration),
    ],
  };
}
