import { performance } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { median, medians, ratioSpread, spread } from '../lib/figures.mjs';
import { watchLoop } from '../lib/loop-delay.mjs';
import { duration, many, number, rate, times, withSpread } from '../lib/number-text.mjs';
import { goal } from '../lib/section.mjs';
import { batchOf, queriesOf } from '../lib/workload.mjs';
import { loadPeer, RIVALS } from '../peers/index.mjs';

export const place = 6;
export const title = 'Get, random, one in ten missing';

const READERS = ['lodestore', 'lmdb', 'classic-level', 'better-sqlite3'];
const PASSES = 3;
/** Gets per turn, for measurements of the event loop. */
const GETS_PER_TURN = 100;
const UNMERGED = 'lodestore, half unmerged';
/** Keeps the records in the logs. */
const NO_MERGE = { mergeBytes: 2 ** 40 };
const SIZES = [
  ['ascending', 1_000_000],
  ['random', 1_000_000],
  ['random', 5_000_000],
];
const BRIEF_SIZES = [['random', 100_000]];

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const stores = [];
  const queries = context.pick(200_000, 20_000);
  for (const [keys, count] of context.pick(SIZES, BRIEF_SIZES)) {
    context.log(`${count} ${keys} keys`);
    const rivals = context.usable(READERS).filter((peer) => peer !== 'lodestore');
    const made = await context.fixtures.getAll(rivals, keys, count);
    const caseOf = (id, job) => ({
      id,
      peer: id,
      job: { peer: id, keys, count, length: queries, ...job },
    });
    const merged = await context.fixtures.merged(keys, count);
    const killed = await context.fixtures.killed('lodestore', keys, count);
    const cases = [
      caseOf('lodestore', { directory: merged.directory }),
      {
        ...caseOf(UNMERGED, { peer: 'lodestore', options: NO_MERGE }),
        source: killed.directory,
      },
      ...made.map(({ peer, directory }) => caseOf(peer, { directory })),
      caseOf('map', { directory: '' }),
    ];
    stores.push({ keys, count, cases: await context.rounds('get', cases, context.pick(3, 1)) });
  }
  return { queries, stores };
}

/**
 * @type {(store: import('../peers/peer.mjs').Store, queries: bigint[]) => number} Gets that found a
 * record.
 */
function getAll(store, queries) {
  let found = 0;
  let mixed = 0;
  for (const key of queries) {
    const record = store.get(key);
    if (record === undefined) continue;
    found++;
    mixed ^= record.data[0];
  }
  return mixed < 0 ? -1 : found;
}

/** The same gets, in several turns of the event loop. */
async function getInTurns(store, queries) {
  const loopDelay = watchLoop();
  for (let from = 0; from < queries.length; from += GETS_PER_TURN) {
    getAll(store, queries.slice(from, from + GETS_PER_TURN));
    await turn();
  }
  return loopDelay();
}

/**
 * @param {{ peer: string, directory: string, keys: import('../lib/workload.mjs').KeyKind,
 *   count: number, length: number, options?: object }} job `length`: of the queries.
 */
export async function measure({ peer, directory, keys, count, length, options }) {
  const store = await (await loadPeer(peer)).open(directory, options);
  if (peer === 'map') {
    for (let from = 0; from < count; from += 10_000) {
      await store.put(batchOf(keys, from, Math.min(count, from + 10_000)));
    }
  }
  store.warm?.();
  const queries = queriesOf(keys, count, length);
  getAll(store, queries);
  const nanoseconds = [];
  for (let pass = 0; pass < PASSES; pass++) {
    const start = performance.now();
    const found = getAll(store, queries);
    nanoseconds.push((1e6 * (performance.now() - start)) / length);
    if (found !== length * 0.9) throw new Error(`${found} found of ${length}`);
  }
  const delay = await getInTurns(store, queries);
  await store.close();
  return { nanoseconds: median(nanoseconds), ...delay };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ queries, stores }, names) {
  const parts = stores.map((store) => partOf(store, names));
  return {
    text:
      `${number(queries)} keys in random order, the same for every peer, one pass before the clock starts, then the median of ${PASSES}. Each get gives ` +
      'the value as a bigint and the data as bytes of the caller; the Map gives the object it holds. lodestore is opened after a merge; ' +
      'half unmerged is the store of row 14, whose logs hold half of the records when it is opened and are not merged. ' +
      `The loop delay is that of ${GETS_PER_TURN} gets in each turn. rocksdb is not here: its get is asynchronous only.`,
    tables: parts.map(({ table }) => table),
    charts: parts.map(({ chart }) => chart),
    goals: parts.flatMap(({ goals }) => goals),
    comparisons: parts.flatMap(({ comparisons }) => comparisons),
  };
}

function partOf({ keys, count, cases }, names) {
  const shown = cases.filter((one) => one.samples.length > 0);
  const what = `${many(count)} records, ${keys} keys`;
  const values = Object.fromEntries(
    shown.map(({ peer, samples }) => [peer, samples.map((sample) => sample.nanoseconds)]),
  );
  const perSecond = (peer) => 1e9 / median(values[peer] ?? []);
  const rows = shown.map(({ peer, samples }) => {
    const { delayP50, delayP99 } = medians(samples);
    return [
      names[peer] ?? peer,
      rate(perSecond(peer)),
      withSpread(spread(values[peer]), (ns) => `${number(ns)} ns`),
      duration(delayP50),
      duration(delayP99),
    ];
  });
  const bars = shown.map(({ peer }) => {
    const value = perSecond(peer);
    const ours = peer.startsWith('lodestore');
    return { label: names[peer] ?? peer, value, text: rate(value), ours };
  });
  const ratiosOf = (ours) =>
    Object.fromEntries(
      [...RIVALS, 'map'].map((peer) => [
        peer,
        ratioSpread(values[ours] ?? [], values[peer] ?? [], 'less'),
      ]),
    );
  const merged = ratiosOf('lodestore');
  const unmerged = ratiosOf(UNMERGED);
  const slower = ratioSpread(values.lodestore ?? [], values[UNMERGED] ?? [], 'less')?.median;
  const commits = /** @type {const} */ ('default');
  return {
    table: {
      caption: what,
      head: ['', 'gets/s', 'per get', 'loop delay p50', 'loop delay p99'],
      rows,
    },
    chart: {
      name: `get-${keys}-${count}`,
      title: `${what}: gets per second, more is better`,
      bars,
    },
    goals: [
      ...goalsOf(what, keys, { merged, unmerged }),
      goal(`${what}: half unmerged at most 1.3 x merged`, slower, { atMost: 1.3 }, times),
    ],
    comparisons: [
      { what: `get, random, ${what}`, commits, ratios: merged },
      { what: `the same, half of them unmerged`, commits, ratios: unmerged },
    ],
  };
}

function goalsOf(what, keys, { merged, unmerged }) {
  const goals = [
    goal(`${what}: at least 5 x lmdb`, merged.lmdb?.median, { atLeast: 5 }, times),
    goal(`${what}: at least 1.5 x Map`, merged.map?.median, { atLeast: 1.5 }, times),
  ];
  if (keys === 'random') {
    const text = `${what}, half unmerged: at least 5 x lmdb`;
    goals.splice(1, 0, goal(text, unmerged.lmdb?.median, { atLeast: 5 }, times));
  }
  return goals;
}
