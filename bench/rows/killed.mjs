import { fork } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { medians, ratioSpread, spread } from '../lib/figures.mjs';
import { memoryNow, peakBytes, resetPeak } from '../lib/memory.mjs';
import { duration, many, number, times, withSpread } from '../lib/number-text.mjs';
import { goal } from '../lib/section.mjs';
import { openAndGet } from '../lib/timed-open.mjs';
import { keyAt, mix } from '../lib/workload.mjs';
import { loadPeer, RIVALS } from '../peers/index.mjs';

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
/** Keeps the records in the logs. */
const NO_MERGE = { mergeBytes: 2 ** 40 };
const OURS = {
  'all threads': NO_MERGE,
  'one thread': { ...NO_MERGE, threads: 1 },
  'in the background': { ...NO_MERGE, warm: 'background' },
};
const GETS = 100_000;
/** So slow to visit that they are measured once. */
const SLOW = ['classic-level', 'rocksdb'];

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const stores = [];
  for (const [keys, count] of context.pick(SIZES, BRIEF_SIZES)) {
    context.log(`${count} ${keys} keys`);
    const { directory, made } = await context.fixtures.killed('lodestore', keys, count);
    const cases = Object.entries(OURS).map(([id, options]) => ({
      id,
      peer: id,
      source: directory,
      job: { kind: 'open', peer: 'lodestore', keys, count, options },
    }));
    if (count <= 1_000_000) cases.push(...(await rivalCases(context, keys, count)));
    const isSlow = ({ peer }) => SLOW.includes(peer);
    const often = cases.filter((one) => !isSlow(one));
    const measured = await context.rounds('killed', often, context.pick(3, 1));
    measured.push(...(await context.rounds('killed', cases.filter(isSlow), 1)));
    stores.push({ keys, count, ...made, cases: measured });
  }
  return { stores };
}

async function rivalCases(context, keys, count) {
  const cases = [];
  for (const peer of context.usable(RIVALS)) {
    try {
      const { directory: source } = await context.fixtures.killed(peer, keys, count);
      cases.push({ id: peer, peer, source, job: { kind: 'open', peer, keys, count } });
    } catch (error) {
      context.log(`${peer} is left out: ${error.message}`);
    }
  }
  return cases;
}

/** @param {any} job */
export async function measure(job) {
  return job.kind === 'load' ? await load(job) : await open(job);
}

/** Kills the loader with SIGKILL as soon as everything is written. */
async function load({ peer, directory, keys, count }) {
  const child = fork(LOADER, [peer, directory, keys, String(count)]);
  const updates = await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`the loader ended with ${code}`)));
  });
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  return { updates };
}

async function open({ peer: id, directory, keys, count, options }) {
  const peer = await loadPeer(id);
  const key = keyAt(keys, count - 1);
  resetPeak();
  const before = memoryNow().rss;
  const { store, figures } = await openAndGet(peer, directory, { key, options });
  const more = store.store === undefined ? {} : ourFigures(store.store, { keys, count });
  const peakMib = (peakBytes() - before) / MIB;
  const visitStart = performance.now();
  let visited = 0;
  await store.visitAll(() => visited++);
  const visitMs = performance.now() - visitStart;
  if (visited !== count) throw new Error(`${visited} records instead of ${count}`);
  await store.close();
  return { ...figures, visitMs, peakMib, ...more };
}

/**
 * For lodestore, which has all records in memory: the time until an iterator starts, and of a get.
 */
function ourFigures(store, { keys, count }) {
  if (store.size !== count) throw new Error(`${store.size} records instead of ${count}`);
  const stepStart = performance.now();
  if (store.entries().next().done === true) throw new Error('a record is lost');
  const stepMs = performance.now() - stepStart;
  const queries = Array.from({ length: GETS }, (_, i) => keyAt(keys, mix(i) % count));
  const getStart = performance.now();
  for (const key of queries) {
    if (store.get(key) === undefined) throw new Error('a record is lost');
  }
  return { stepMs, getNs: (1e6 * (performance.now() - getStart)) / GETS };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ stores }, names) {
  return {
    text:
      "Half of lodestore's records are in the snapshot; the others, and overwrites of one record in a hundred, are in logs that no merge has " +
      'taken in. The peers wrote the same records. The process that wrote them was killed; each measurement opens a copy in a fresh process, ' +
      'files in the page cache. Open: until all is in memory; in the background, until the logs are. First step: of an iterator over all records, right ' +
      'after the first get. Get: of random keys, the first 100,000 of the process. Peak: the resident set above that of the idle process. Peers at the smaller size only, classic-level and rocksdb once.',
    tables: stores.map((store) => tableOf(store, names)),
    charts: [],
    goals: stores.flatMap(goalsOf),
    comparisons: stores.filter(hasRivals).flatMap(comparisonsOf),
  };
}

const HEAD = [
  '',
  'open',
  'per update in logs',
  'first get',
  'CPU',
  'first step',
  'get',
  'all visited',
  'peak',
  'longest loop delay while opening',
];

function tableOf({ keys, count, updates, cases }, names) {
  const rows = cases
    .filter(({ samples }) => samples.length > 0)
    .map(({ peer, samples }) => {
      const isOurs = peer in OURS;
      const values = (field) => samples.flatMap((one) => one[field] ?? []);
      const of = (field, text) =>
        values(field).length === 0 ? '' : withSpread(spread(values(field)), text);
      return [
        isOurs ? `lodestore, ${peer}` : names[peer],
        of('openMs', duration),
        isOurs ? of('openMs', (value) => `${number((1e6 * value) / updates)} ns`) : '',
        of('firstGetMs', duration),
        of('cpuMs', duration),
        of('stepMs', (value) => `${number(value, 2)} ms`),
        of('getNs', (value) => `${number(value)} ns`),
        of('visitMs', duration),
        of('peakMib', (value) => `${number(value)} MiB`),
        of('openDelayMs', duration),
      ];
    });
  const caption = `${many(count)} records, ${keys} keys, ${number(updates)} updates in the logs`;
  return { caption, head: HEAD, rows };
}

const samplesOf = (cases, id) => cases.find(({ peer }) => peer === id)?.samples ?? [];

function goalsOf({ keys, count, updates, cases }) {
  const what = `${many(count)} records, ${keys} keys`;
  const middle = (id) => medians(samplesOf(cases, id));
  const { openMs, stepMs } = middle('all threads');
  const alone = middle('one thread').openMs;
  const nanoseconds = (value) => `${number(value)} ns`;
  const perUpdate = (1e6 * openMs) / updates;
  const goals = [
    goal(`${what}: at most 200 ns per update`, perUpdate, { atMost: 200 }, nanoseconds),
    goal(
      `${what}: one thread takes at least 1.5 x as long`,
      alone / openMs,
      { atLeast: 1.5 },
      times,
    ),
    goal(`${what}: first step of an iterator at most 5 ms`, stepMs, { atMost: 5 }, duration),
  ];
  if (count <= 1_000_000 && keys === 'random') {
    goals.unshift(goal(`${what}: open at most 130 ms`, openMs, { atMost: 130 }, duration));
  }
  return goals;
}

const hasRivals = ({ cases }) => cases.some(({ peer }) => RIVALS.includes(peer));

function comparisonsOf({ keys, count, cases }) {
  const what = `reopen ${many(count)} records after a kill, ${keys} keys`;
  const values = (id, valueOf) => samplesOf(cases, id).flatMap((one) => valueOf(one) ?? []);
  const comparison = (until, valueOf) => ({
    what: `${what}, until ${until}`,
    commits: /** @type {const} */ ('default'),
    ratios: Object.fromEntries(
      RIVALS.map((id) => [
        id,
        ratioSpread(values('all threads', valueOf), values(id, valueOf), 'less'),
      ]),
    ),
  });
  return [
    comparison('the first get', ({ firstGetMs }) => firstGetMs),
    comparison('each was visited', ({ openMs, visitMs }) => openMs + visitMs),
  ];
}
