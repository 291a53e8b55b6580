import { performance } from 'node:perf_hooks';
import { medians, ratioSpread, spread } from '../lib/figures.mjs';
import { duration, many, number, withSpread } from '../lib/number-text.mjs';
import { bestOf, goal } from '../lib/section.mjs';
import { openAndGet } from '../lib/timed-open.mjs';
import { keyAt } from '../lib/workload.mjs';
import { loadPeer, RIVALS, STORES } from '../peers/index.mjs';

export const place = 5;
export const title = 'Reopen';

const SIZES = [
  ['ascending', 1_000_000],
  ['random', 1_000_000],
  ['ascending', 5_000_000],
  ['random', 5_000_000],
];
const BRIEF_SIZES = [['ascending', 100_000]];
const MERGED = 'lodestore, merged';
const BACKGROUND = 'lodestore, merged, in the background';
/** So slow to visit that they are measured once, and not at the larger size. */
const SLOW = ['classic-level', 'rocksdb'];

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const stores = [];
  for (const [keys, count] of context.pick(SIZES, BRIEF_SIZES)) {
    context.log(`${count} ${keys} keys`);
    const [once, often] = await casesOf(context, keys, count);
    const measured = await context.rounds('reopen', often, context.pick(3, 1));
    measured.push(...(await context.rounds('reopen', once, 1)));
    stores.push({ keys, count, cases: measured });
  }
  return { stores };
}

/** The cases that are measured once, and those in all rounds. */
async function casesOf(context, keys, count) {
  const isSmall = count <= context.pick(1_000_000, Infinity);
  const peers = context.usable(STORES).filter((peer) => isSmall || !SLOW.includes(peer));
  const made = await context.fixtures.getAll(peers, keys, count);
  const caseOf = (peer, id, directory, options) => ({
    id,
    peer: id,
    job: { peer, directory, keys, count, options },
  });
  const cases = made.map(({ peer, directory }) => caseOf(peer, peer, directory));
  const merged = await context.fixtures.merged(keys, count);
  const ours = [
    caseOf('lodestore', MERGED, merged.directory),
    caseOf('lodestore', BACKGROUND, merged.directory, { warm: 'background' }),
  ];
  cases.splice(1, 0, ...ours);
  const isSlow = ({ peer }) => SLOW.includes(peer);
  return [cases.filter(isSlow), cases.filter((one) => !isSlow(one))];
}

/** @param {any} job */
export async function measure(job) {
  return job.kind === 'merge' ? await mergeAll(job) : await measureReopen(job);
}

async function mergeAll({ directory }) {
  const store = await (await loadPeer('lodestore')).open(directory);
  await store.store.merge();
  await store.close();
  return {};
}

/**
 * @param {{ peer: string, directory: string, keys: import('../lib/workload.mjs').KeyKind, count:
 * number, options?: object }} job
 */
export async function measureReopen({ peer: id, directory, keys, count, options }) {
  const peer = await loadPeer(id);
  const { store, figures } = await openAndGet(peer, directory, {
    key: keyAt(keys, count >> 1),
    options,
  });
  let visited = 0;
  let mixed = 0n;
  const visitStart = performance.now();
  await store.visitAll((visitedKey, value, data) => {
    visited++;
    mixed ^= visitedKey ^ value ^ BigInt(data[0]);
  });
  const visitMs = performance.now() - visitStart;
  if (visited !== count) throw new Error(`${visited} records instead of ${count}`);
  await store.close();
  const visitedMs = (figures.firstGetMs ?? figures.openMs) + visitMs;
  return { ...figures, visitedMs, mixed: String(mixed) };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ stores }, names) {
  const parts = stores.map((store) => partOf(store, names));
  return {
    text:
      'A fresh process, files in the page cache, the clock from the call of open: until the first get has answered, and until ' +
      'each record was visited once (key, value and data touched). lodestore reads, checks and decodes everything when it ' +
      'opens; the others do that work later, at every read. Stores are opened as the load left them: lodestore has logs to fold in that no merge was due for yet. ' +
      "Merged is a copy right after a merge; in the background is open(directory, { warm: 'background' }) of that copy. classic-level and rocksdb, which has no " +
      'synchronous get, are visited once, and only at the smaller size.',
    tables: parts.map(({ table }) => table),
    charts: parts.map(({ chart }) => chart),
    goals: parts.flatMap(({ goals }) => goals),
    comparisons: parts.flatMap(({ comparisons }) => comparisons),
  };
}

function partOf({ keys, count, cases }, names) {
  const shown = cases.filter((one) => one.samples.length > 0);
  const middle = Object.fromEntries(shown.map(({ peer, samples }) => [peer, medians(samples)]));
  const what = `${many(count)} records, ${keys} keys`;
  const of = (samples, field) => {
    const values = samples.flatMap((one) => one[field] ?? []);
    return values.length === 0 ? '' : withSpread(spread(values), duration);
  };
  const rows = shown.map(({ peer, samples }) => [
    names[peer] ?? peer,
    of(samples, 'openMs'),
    of(samples, 'firstGetMs'),
    of(samples, 'visitedMs'),
    of(samples, 'openDelayMs'),
  ]);
  const bars = shown.map(({ peer }) => {
    const value = middle[peer].visitedMs;
    const ours = peer.startsWith('lodestore');
    return { label: names[peer] ?? peer, value, text: duration(value), ours };
  });
  return {
    table: { caption: what, head: HEAD, rows },
    chart: {
      name: `reopen-${keys}-${count}`,
      title: `${what}: from open until each was visited, less is better`,
      bars,
    },
    goals: goalsOf(what, count, middle, names),
    comparisons: [
      comparisonOf(`reopen ${what}, until the first get`, shown, 'lodestore', 'firstGetMs'),
      comparisonOf(`the same, in the background after a merge`, shown, BACKGROUND, 'firstGetMs'),
      comparisonOf(`reopen ${what}, until each was visited`, shown, 'lodestore', 'visitedMs'),
    ],
  };
}

const HEAD = ['', 'open', 'first get', 'all visited', 'longest loop delay while opening'];

function comparisonOf(what, shown, ours, field) {
  const samplesOf = (id) => shown.find(({ peer }) => peer === id)?.samples ?? [];
  const of = (id) => samplesOf(id).flatMap((one) => one[field] ?? []);
  const ratios = Object.fromEntries(
    RIVALS.map((id) => [id, ratioSpread(of(ours), of(id), 'less')]),
  );
  return { what, commits: /** @type {const} */ ('default'), ratios };
}

function goalsOf(what, count, middle, names) {
  const ours = middle.lodestore;
  const best = bestOf(RIVALS, (peer) => -(middle[peer]?.visitedMs ?? Number.NaN));
  const goals = [
    goal(
      `${what}: full visit at most 1/4 of the best peer's`,
      ours?.visitedMs / middle[best]?.visitedMs,
      { atMost: 0.25 },
      (value) => `${number(value, 2)} of ${names[best]}`,
    ),
  ];
  if (count <= 1_000_000) {
    const first = middle[MERGED]?.firstGetMs;
    goals.push(goal(`${what}, merged: first get at most 60 ms`, first, { atMost: 60 }, duration));
    const soon = middle[BACKGROUND]?.firstGetMs;
    const text = `${what}, merged, in the background: first get at most 60 ms`;
    goals.push(goal(text, soon, { atMost: 60 }, duration));
  }
  return goals;
}
