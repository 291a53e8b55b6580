import { fork } from 'node:child_process';
import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { medians, spread } from '../lib/figures.mjs';
import { memoryNow, peakBytes, resetPeak } from '../lib/memory.mjs';
import { duration, many, number, withSpread } from '../lib/number-text.mjs';
import { goal } from '../lib/section.mjs';
import { keyAt } from '../lib/workload.mjs';

export const place = 14;
export const title = 'Reopen after a kill';

const MIB = 1024 * 1024;
const LOADER = fileURLToPath(new URL('../lib/killed-loader.mjs', import.meta.url));
const SIZES = [
  ['ascending', 1_000_000],
  ['random', 1_000_000],
  ['ascending', 5_000_000],
  ['random', 5_000_000],
];
const BRIEF_SIZES = [
  ['ascending', 100_000],
  ['random', 100_000],
];

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const stores = [];
  for (const [keys, count] of context.pick(SIZES, BRIEF_SIZES)) {
    const directory = context.newDirectory();
    const { updates } = await context.child('killed', { kind: 'load', directory, keys, count });
    const cases = [undefined, 1].map((threads) => {
      const id = threads === undefined ? 'all threads' : 'one thread';
      return { id, peer: id, job: { kind: 'open', directory, keys, count, threads } };
    });
    context.log(`${count} ${keys} keys`);
    const measured = await context.rounds('killed', cases, context.pick(5, 1));
    stores.push({ keys, count, updates, cases: measured });
    context.remove(directory);
  }
  return { stores };
}

/** @param {any} job */
export async function measure(job) {
  return job.kind === 'load' ? await load(job) : await open(job);
}

/** Half of the records merged, the other half and some overwrites in logs, then SIGKILL. */
async function load({ directory, keys, count }) {
  const child = fork(LOADER, [directory, keys, String(count)]);
  const updates = await new Promise((resolve) => child.once('message', resolve));
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  return { updates };
}

async function open({ directory, keys, count, threads }) {
  const { MetadataStore } = await import('../../dist/index.js');
  for (const name of readdirSync(directory)) {
    if (!/^(log|snapshot)/.test(name)) continue;
    const stream = createReadStream(join(directory, name), { highWaterMark: MIB });
    for await (const chunk of stream) void chunk;
  }
  resetPeak();
  const before = memoryNow().rss;
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  const store = await MetadataStore.open(directory, { threads, mergeBytes: 2 ** 40 });
  const openMs = performance.now() - start;
  const cpu = process.cpuUsage(cpuBefore);
  const stepStart = performance.now();
  if (store.entries().next().done === true) throw new Error('a record is lost');
  const stepMs = performance.now() - stepStart;
  const peakMib = (peakBytes() - before) / MIB;
  if (store.size !== count) throw new Error(`${store.size} records instead of ${count}`);
  const getStart = performance.now();
  for (let i = 0; i < count; i += 10) {
    if (store.get(keyAt(keys, i)) === undefined) throw new Error('a record is lost');
  }
  const getNs = (1e6 * (performance.now() - getStart)) / (count / 10);
  const visitStart = performance.now();
  let visited = 0;
  for (const key of store.keys()) visited += key >= 0n ? 1 : 0;
  const visitMs = performance.now() - visitStart;
  if (visited !== count) throw new Error(`${visited} records instead of ${count}`);
  await store.close();
  const cpuMs = (cpu.user + cpu.system) / 1000;
  return { openMs, cpuMs, stepMs, getNs, visitMs, peakMib };
}

/** @type {(result: any) => import('../lib/section.mjs').Section} */
export function report({ stores }) {
  const tables = stores.map(({ keys, count, updates, cases }) => {
    const rows = cases
      .filter((one) => one.samples.length > 0)
      .map(({ peer, samples }) => {
        const of = (field, text) => withSpread(spread(samples.map((one) => one[field])), text);
        const nanoseconds = (value) => `${number((1e6 * value) / updates)} ns`;
        return [
          peer,
          of('openMs', duration),
          of('openMs', nanoseconds),
          of('cpuMs', duration),
          of('stepMs', (value) => `${number(value, 2)} ms`),
          of('getNs', (value) => `${number(value)} ns`),
          of('visitMs', duration),
          of('peakMib', (value) => `${number(value)} MiB`),
        ];
      });
    const caption = `${many(count)} records, ${keys} keys, ${many(updates)} updates in the logs`;
    const head = ['', 'open', 'per update', 'CPU', 'first step', 'get', 'all keys', 'peak'];
    return { caption, head, rows };
  });
  const goals = stores.map(({ keys, count, updates, cases }) => {
    const { openMs } = medians(cases[0].samples);
    const value = (1e6 * openMs) / updates;
    const what = `${many(count)} records, ${keys} keys: at most 200 ns per update in the logs`;
    return goal(what, value, { atMost: 200 }, (ns) => `${number(ns)} ns`);
  });
  return {
    text:
      'Half of the records are in the snapshot; the others, and overwrites of one record in fifty, are in logs that no merge has ' +
      'taken in. The process that wrote them was killed. A fresh process, files in the page cache. Open: until all is in memory. ' +
      'First step: of an iterator over all records, right after it. Peak: the resident set above that of the idle process. ' +
      'Medians of five.',
    tables,
    charts: [],
    goals,
  };
}
