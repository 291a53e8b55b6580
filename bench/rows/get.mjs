import { performance } from 'node:perf_hooks';
import { median, spread } from '../lib/figures.mjs';
import { many, number, rate, times, withSpread } from '../lib/number-text.mjs';
import { bestOf, goal } from '../lib/section.mjs';
import { absentKeyAt, batchOf, keyAt, mix } from '../lib/workload.mjs';
import { loadPeer } from '../peers/index.mjs';

export const place = 6;
export const title = 'Get, random, one in ten missing';

const READERS = ['lodestore', 'lmdb', 'classic-level', 'better-sqlite3'];
const QUERIES = 200_000;
const PASSES = 5;

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const stores = [];
  for (const [keys, count] of context.pick(SIZES, BRIEF_SIZES)) {
    const made = await context.fixtures.getAll(context.usable(READERS), keys, count);
    const cases = made.map(({ peer, directory }) => ({ peer, directory }));
    cases.push({ peer: 'map', directory: '' });
    const jobs = cases.map(({ peer, directory }) => ({
      id: peer,
      peer,
      job: { peer, directory, keys, count },
    }));
    context.log(`${count} ${keys} keys`);
    stores.push({ keys, count, cases: await context.rounds('get', jobs, context.pick(2, 1)) });
  }
  return { stores };
}

const SIZES = [
  ['ascending', 1_000_000],
  ['ascending', 5_000_000],
  ['random', 5_000_000],
];
const BRIEF_SIZES = [['ascending', 100_000]];

/** @type {(keys: import('../lib/workload.mjs').KeyKind, count: number) => bigint[]} */
function queriesOf(keys, count) {
  return Array.from({ length: QUERIES }, (_, i) => {
    const record = mix(i ^ 0x3c6ef372) % count;
    return i % 10 === 9 ? absentKeyAt(keys, record) : keyAt(keys, record);
  });
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

/**
 * @param {{ peer: string, directory: string, keys: import('../lib/workload.mjs').KeyKind, count:
 * number }} job
 */
export async function measure({ peer, directory, keys, count }) {
  const store = await (await loadPeer(peer)).open(directory);
  if (peer === 'map') {
    for (let from = 0; from < count; from += 10_000) {
      await store.put(batchOf(keys, from, Math.min(count, from + 10_000)));
    }
  }
  const queries = queriesOf(keys, count);
  getAll(store, queries);
  const nanoseconds = [];
  for (let pass = 0; pass < PASSES; pass++) {
    const start = performance.now();
    const found = getAll(store, queries);
    nanoseconds.push((1e6 * (performance.now() - start)) / QUERIES);
    if (found !== QUERIES * 0.9) throw new Error(`${found} found of ${QUERIES}`);
  }
  await store.close();
  return { nanoseconds: median(nanoseconds) };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ stores }, names) {
  const parts = stores.map((store) => partOf(store, names));
  return {
    text:
      `${number(QUERIES)} keys in random order, the same for every peer, one pass before the clock starts, then the median of ${PASSES}. Each get gives ` +
      'the value as a bigint and the data as bytes of the caller; the Map gives the object it holds. rocksdb is not here: its get is asynchronous only.',
    tables: parts.map(({ table }) => table),
    charts: parts.map(({ chart }) => chart),
    goals: parts.flatMap(({ goals }) => goals),
  };
}

function partOf({ keys, count, cases }, names) {
  const shown = cases.filter((one) => one.samples.length > 0);
  const what = `${many(count)} records, ${keys} keys`;
  const values = (samples) => samples.map((sample) => sample.nanoseconds);
  const perSecond = Object.fromEntries(
    shown.map(({ peer, samples }) => [peer, 1e9 / median(values(samples))]),
  );
  const rows = shown.map(({ peer, samples }) => [
    names[peer],
    rate(perSecond[peer]),
    withSpread(spread(values(samples)), (ns) => `${number(ns)} ns`),
  ]);
  const bars = shown.map(({ peer }) => ({
    label: names[peer],
    value: perSecond[peer],
    text: rate(perSecond[peer]),
    ours: peer === 'lodestore',
  }));
  const over = (peer) => perSecond.lodestore / perSecond[peer];
  const best = bestOf(READERS.slice(1), (peer) => perSecond[peer] ?? Number.NaN);
  return {
    table: { caption: what, head: ['', 'gets/s', 'per get'], rows },
    chart: {
      name: `get-${keys}-${count}`,
      title: `${what}: gets per second, more is better`,
      bars,
    },
    goals: [
      goal(`${what}: at least 5 x lmdb`, over('lmdb'), { atLeast: 5 }, (value) =>
        best === 'lmdb' ? times(value) : `${times(value)} (${times(over(best))} ${names[best]})`,
      ),
      goal(`${what}: at least 1.5 x Map`, over('map'), { atLeast: 1.5 }, times),
    ],
  };
}
