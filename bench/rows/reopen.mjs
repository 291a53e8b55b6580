import { cpSync, createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { medians, spread } from '../lib/figures.mjs';
import { duration, many, number, withSpread } from '../lib/number-text.mjs';
import { bestOf, goal } from '../lib/section.mjs';
import { keyAt } from '../lib/workload.mjs';
import { loadPeer, RIVALS, STORES } from '../peers/index.mjs';

export const place = 5;
export const title = 'Reopen';

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const stores = [];
  const sizes = context.pick(SIZES, BRIEF_SIZES);
  for (const [keys, count] of sizes) {
    const made = await context.fixtures.getAll(context.usable(STORES), keys, count);
    const cases = made.map(({ peer, directory }) => ({
      id: `${peer} ${keys} ${count}`,
      peer,
      job: { peer, directory, keys, count },
    }));
    const merged = await mergedCase(context, made, keys, count);
    if (merged !== undefined) cases.splice(1, 0, merged);
    context.log(`${count} ${keys} keys`);
    const often = cases.filter(({ peer }) => !SLOW.includes(peer));
    const measured = await context.rounds('reopen', often, context.pick(3, 1));
    const once = cases.filter(({ peer }) => SLOW.includes(peer));
    measured.push(...(await context.rounds('reopen', once, 1)));
    stores.push({ keys, count, cases: measured });
    if (merged !== undefined) context.remove(merged.job.directory);
  }
  return { stores };
}

const SIZES = [
  ['ascending', 1_000_000],
  ['ascending', 5_000_000],
  ['random', 5_000_000],
];
const MERGED = 'lodestore, merged';
/** Visited so slowly that once says enough. */
const SLOW = ['classic-level', 'rocksdb'];
const BRIEF_SIZES = [['ascending', 100_000]];

/**
 * Reads every file once, so that all peers find theirs in the page cache. @type {(directory:
 * string) => Promise<void>}
 */
async function warmPageCache(directory) {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true });
  for (const file of files) {
    if (!file.isFile()) continue;
    const path = join(file.parentPath ?? file.path, file.name);
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) void chunk;
  }
}

/**
 * A copy of lodestore's directory in which the logs have been merged: what a restart costs at best.
 */
export async function mergedCase(context, made, keys, count) {
  const ours = made.find(({ peer }) => peer === 'lodestore');
  if (ours === undefined) return undefined;
  const directory = context.newDirectory();
  cpSync(ours.directory, directory, { recursive: true });
  await context.child('reopen', { kind: 'merge', directory });
  const job = { peer: 'lodestore', directory, keys, count };
  return { id: MERGED, peer: MERGED, job };
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
  await warmPageCache(directory);
  const start = performance.now();
  const store = await peer.open(directory, options);
  const openMs = performance.now() - start;
  const key = keyAt(keys, count >> 1);
  if (store.get !== undefined && store.get(key) === undefined) throw new Error('a record is lost');
  const firstGetMs = performance.now() - start;
  let visited = 0;
  let mixed = 0n;
  await store.visitAll((visitedKey, value, data) => {
    visited++;
    mixed ^= visitedKey ^ value ^ BigInt(data[0]);
  });
  const visitedMs = performance.now() - start;
  if (visited !== count) throw new Error(`${visited} records instead of ${count}`);
  await store.close();
  return { openMs, firstGetMs, visitedMs, mixed: String(mixed) };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ stores }, names) {
  const parts = stores.map((store) => partOf(store, names));
  return {
    text:
      'A fresh process, files in the page cache, the clock from the call of open: until the first get has answered, and until ' +
      'each record was visited once (key, value and data touched). lodestore reads, checks and decodes everything when it ' +
      'opens; the others do that work later, at every read. Stores are opened as the load left them: lodestore has logs to fold in that no merge was due for yet; ' +
      'the second row shows it right after a merge. Goals are held against the first. Medians of three; classic-level and rocksdb once.',
    tables: parts.map(({ table }) => table),
    charts: parts.map(({ chart }) => chart),
    goals: parts.flatMap(({ goals }) => goals),
  };
}

function partOf({ keys, count, cases }, names) {
  const shown = cases.filter((one) => one.samples.length > 0);
  const middle = Object.fromEntries(shown.map(({ peer, samples }) => [peer, medians(samples)]));
  const what = `${many(count)} records, ${keys} keys`;
  const of = (samples, field) => withSpread(spread(samples.map((one) => one[field])), duration);
  const rows = shown.map(({ peer, samples }) => [
    names[peer] ?? peer,
    of(samples, 'openMs'),
    of(samples, 'firstGetMs'),
    of(samples, 'visitedMs'),
  ]);
  const bars = shown.map(({ peer }) => {
    const value = middle[peer].visitedMs;
    return { label: names[peer] ?? peer, value, text: duration(value), ours: isOurs(peer) };
  });
  return {
    table: { caption: what, head: ['', 'open', 'first get', 'all visited'], rows },
    chart: {
      name: `reopen-${keys}-${count}`,
      title: `${what}: from open until each was visited, less is better`,
      bars,
    },
    goals: goalsOf(what, count, middle, names),
  };
}

/** @type {(peer: string) => boolean} */
const isOurs = (peer) => peer === 'lodestore' || peer === MERGED;

function goalsOf(what, count, middle, names) {
  const ours = middle.lodestore;
  const best = bestOf(RIVALS, (peer) => -(middle[peer]?.visitedMs ?? Number.NaN));
  const perMillion = ours?.firstGetMs / (count / 1e6);
  return [
    goal(
      `${what}: full visit at most 1/4 of the best peer's`,
      ours?.visitedMs / middle[best]?.visitedMs,
      { atMost: 0.25 },
      (value) => `${number(value, 2)} of ${names[best]}`,
    ),
    goal(
      `${what}: first get after at most 30 ms per million`,
      perMillion,
      { atMost: 30 },
      (ms) => `${duration(ms)} per million`,
    ),
  ];
}
