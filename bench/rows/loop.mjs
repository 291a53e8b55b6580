import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { MetadataStore, WriteBatch } from 'lodestore';
import { medians, spread } from '../lib/figures.mjs';
import { longestTurnOf } from '../lib/loop-delay.mjs';
import { duration, many, number, withSpread } from '../lib/number-text.mjs';
import { goal } from '../lib/section.mjs';
import { keyAt, mix } from '../lib/workload.mjs';

export const place = 13;
export const title = 'What could hold up the event loop';

const BATCH = 20_000;
/** Builds before log version 3 have no deleteRange. */
const HAS_RANGES = 'deleteRange' in MetadataStore.prototype;
/** Keeps everything in the live table and in logs. */
const NO_MERGE = { mergeBytes: 2 ** 40, durability: { syncEveryMs: 1_000 } };

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const rows = context.pick(3_000_000, 100_000);
  const logRows = context.pick(1_600_000, 50_000);
  const count = context.pick(5_000_000, 100_000);
  const job = { kind: 'reads', rows, logRows };
  const { directory: source } = await context.fixtures.merged('ascending', count);
  const mergeJob = { kind: 'merges', count, updates: count / 100 };
  const cases = [
    { id: 'reads', peer: 'lodestore', job },
    { id: 'merges', peer: 'lodestore', source, job: mergeJob },
  ];
  if (HAS_RANGES)
    cases.push({ id: 'range', peer: 'lodestore', source, job: { kind: 'range', count } });
  const [reads, merges, range] = await context.rounds('loop', cases, context.pick(3, 1));
  return { rows, logRows, count, updates: mergeJob.updates, reads, merges, range };
}

async function fill(store, count) {
  for (let i = 0; i < count;) {
    const batch = new WriteBatch();
    for (const end = Math.min(i + BATCH, count); i < end; i++)
      batch.put(keyAt('random', i), BigInt(i + 1));
    await store.insertBatch(batch);
  }
}

/** Wall time and CPU time of a job that blocks the event loop. */
function timed(job) {
  const cpu = process.cpuUsage();
  const from = performance.now();
  job();
  const ms = performance.now() - from;
  const { user, system } = process.cpuUsage(cpu);
  return { ms, cpuMs: (user + system) / 1_000 };
}

/** @param {any} job */
export async function measure(job) {
  if (job.kind === 'range') return await measureRange(job);
  return job.kind === 'reads' ? await measureReads(job) : await measureMerges(job);
}

async function measureReads({ directory, rows, logRows }) {
  const other = join(directory, 'other');
  const filled = await MetadataStore.open(other, NO_MERGE);
  await fill(filled, logRows);
  await filled.close();
  const store = await MetadataStore.open(join(directory, 'own'), NO_MERGE);
  await fill(store, rows);
  const first = timed(() => store.entries({ limit: 1 }).next());
  await store.insertBatch(new WriteBatch().put(1n, 1n));
  const next = timed(() => store.keys({ gte: 5n, limit: 1 }).next());
  const idle = await longestTurnOf(() => sleep(1_000));
  const open = await longestTurnOf(async () => {
    const opened = await MetadataStore.open(other);
    await opened.close();
  });
  await store.close();
  return {
    firstMs: first.ms,
    firstCpuMs: first.cpuMs,
    nextMs: next.ms,
    nextCpuMs: next.cpuMs,
    idleMs: idle.delayMs,
    idleCpuMs: idle.cpuMs,
    openMs: open.delayMs,
    openCpuMs: open.cpuMs,
  };
}

/** Only the merge runs: of few changed chunks, and of all. */
async function measureMerges({ directory, count, updates }) {
  const store = await MetadataStore.open(directory, NO_MERGE);
  const turns = {};
  for (const { name, recordOf } of [
    { name: 'few', recordOf: (i) => count - 1 - i },
    { name: 'all', recordOf: (i) => mix(i) % count },
  ]) {
    const batch = new WriteBatch();
    for (let i = 0; i < updates; i++) batch.put(keyAt('ascending', recordOf(i)), BigInt(i + 1));
    await store.insertBatch(batch);
    const { delayMs, cpuMs } = await longestTurnOf(() => store.merge());
    turns[`${name}Ms`] = delayMs;
    turns[`${name}CpuMs`] = cpuMs;
  }
  await store.close();
  return turns;
}

/** One call deletes half of all records while a writer continues. */
async function measureRange({ directory, count }) {
  const store = await MetadataStore.open(directory, NO_MERGE);
  const during = { state: 'running', rangeMs: 0, longestMs: 0 };
  const turn = await longestTurnOf(async () => {
    const start = performance.now();
    const range = store.deleteRange({ lt: keyAt('ascending', count / 2) }).finally(() => {
      during.state = 'ended';
      during.rangeMs = performance.now() - start;
    });
    for (let i = count; during.state === 'running'; i++) {
      const from = performance.now();
      await store.put(keyAt('ascending', i), BigInt(i));
      during.longestMs = Math.max(during.longestMs, performance.now() - from);
    }
    await range;
  });
  if (store.firstKey() !== keyAt('ascending', count / 2)) throw new Error('not what is left');
  await store.close();
  const { rangeMs, longestMs } = during;
  return { rangeMs, rangeWaitMs: longestMs, rangeDelayMs: turn.delayMs, rangeCpuMs: turn.cpuMs };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ rows, logRows, count, updates, reads, merges, range }) {
  const parts = range === undefined ? [reads, merges] : [reads, merges, range];
  const middle = Object.assign({}, ...parts.map(({ samples }) => medians(samples)));
  const samples = parts.flatMap((part) => part.samples);
  const of = (field) => withSpread(spread(samples.flatMap((one) => one[field] ?? [])), duration);
  const longest = (text, field) =>
    goal(`${text}: at most 5 ms of processor time`, middle[field], { atMost: 5 }, duration);
  return {
    text:
      `${many(rows)} rows of random keys in the live table, none of them merged: the first step of the first iterator, and ` +
      `of one after one more write. Then a second store, with logs of ${many(logRows)} random keys, is opened beside the ` +
      `first. Merges: of ${number(updates)} updates into ${many(count)} records, of the last ones, and of some in every chunk, with nothing else to do. ` +
      `deleteRange: of half of them by one call, while a writer puts one record after the other; how long its longest commit took, and the call itself. ` +
      'Of the others the longest delay of monitorEventLoopDelay() beyond its timer, beside that of an idle second. Time of the ' +
      'processor leaves out what other threads and processes take of the core: of the others it is the most that the main ' +
      'thread used between two calls of a timer of 1 ms.',
    tables: [
      {
        head: ['', 'longest', 'time of the processor'],
        rows: [
          ['first step of the first iterator', of('firstMs'), of('firstCpuMs')],
          ['first step after one more write', of('nextMs'), of('nextCpuMs')],
          ['nothing else', of('idleMs'), of('idleCpuMs')],
          ['a second store opens', of('openMs'), of('openCpuMs')],
          ['a merge that changes few chunks', of('fewMs'), of('fewCpuMs')],
          ['a merge that changes all chunks', of('allMs'), of('allCpuMs')],
          ...(range === undefined ? [] : rangeRows(count, of)),
        ],
      },
    ],
    charts: [],
    goals: [
      longest('first step of an iterator', 'firstCpuMs'),
      longest('a second store opens', 'openCpuMs'),
      longest('a merge that changes few chunks', 'fewCpuMs'),
      longest('a merge that changes all chunks', 'allCpuMs'),
      ...(range === undefined ? [] : [longest(rangeText(count), 'rangeCpuMs')]),
    ],
  };
}

/** @type {(count: number) => string} */
const rangeText = (count) => `deleteRange of ${many(count / 2)} records`;

function rangeRows(count, of) {
  return [
    [rangeText(count), of('rangeDelayMs'), of('rangeCpuMs')],
    ['the call itself, until it is durable', of('rangeMs'), ''],
    ['the longest commit of another writer meanwhile', of('rangeWaitMs'), ''],
  ];
}
