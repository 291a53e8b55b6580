import { statSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { KEY_KINDS } from '../lib/commit-cells.mjs';
import { medians, quantiles, ratioSpread, spread } from '../lib/figures.mjs';
import { LOAD_LIMIT_MS } from '../lib/fixtures.mjs';
import { watchLoop } from '../lib/loop-delay.mjs';
import { deviceBytesWritten } from '../lib/machine.mjs';
import { duration, many, megabytes, number, rate, times, withSpread } from '../lib/number-text.mjs';
import { bestOf, goal } from '../lib/section.mjs';
import { batchOf, dataAt, keyAt, mix, RECORD_BYTES, valueAt } from '../lib/workload.mjs';
import { giveTurn, loadPeer, RIVALS, STORES } from '../peers/index.mjs';

export const place = 4;
export const title = 'Load, by 1,000';

const BATCH = 1_000;
const FINISHING_BATCH = 250_000;
const CHECKED_RECORDS = 1_000;
const QUICK_MS = 15_000;
/** In addition to the round whose stores the other rows open. */
const EXTRA_ROUNDS = 2;
const INLINE = 'lodestore-inline';

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const count = context.pick(5_000_000, 100_000);
  const from = context.fixtures.baseCount;
  const kinds = [];
  for (const keys of KEY_KINDS) {
    context.log(`${keys} keys`);
    const made = await context.fixtures.getAll(context.usable(STORES), keys, count);
    kinds.push({ keys, peers: await againWhereQuick(context, { keys, from, count }, made) });
  }
  return { from, count, kinds };
}

/** Peers that load quickly are measured in all rounds, because close results need medians. */
async function againWhereQuick(context, { keys, from, count }, made) {
  const caseOf = async (peer, store = peer) => ({
    id: peer,
    peer,
    source: (await context.fixtures.get(store, keys)).directory,
    job: { peer, keys, from, count, limitMs: LOAD_LIMIT_MS },
  });
  const quick = made.filter((one) => one.made.putMs + one.made.settleMs < QUICK_MS);
  const cases = await Promise.all(quick.map(({ peer }) => caseOf(peer)));
  const results = made.map(({ peer, made: first }) => ({ peer, samples: [first] }));
  if (context.usable([INLINE]).length > 0 && made.some(({ peer }) => peer === 'lodestore')) {
    const inline = await caseOf(INLINE, 'lodestore');
    cases.splice(1, 0, inline);
    const [{ samples }] = await context.rounds('load', [inline], 1);
    results.splice(1, 0, { peer: INLINE, samples });
  }
  for (const { peer, samples } of await context.rounds(
    'load',
    cases,
    context.pick(EXTRA_ROUNDS, 0),
  )) {
    results.find((one) => one.peer === peer)?.samples.push(...samples);
  }
  return results.filter(({ samples }) => samples.length > 0);
}

function directoryBytes(directory) {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true });
  const paths = files
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath ?? file.path, file.name));
  return paths.reduce((sum, path) => sum + statSync(path).blocks * 512, 0);
}

/** Reads some records, so that no store that lost them gets a figure. */
function check(store, keys, count) {
  if (store.get === undefined) return;
  for (let i = 0; i < CHECKED_RECORDS; i++) {
    const record = mix(i) % count;
    const found = store.get(keyAt(keys, record));
    const isRight =
      found?.value === valueAt(record) && Buffer.compare(found.data, dataAt(record)) === 0;
    if (!isRight) throw new Error(`record ${record} is not what was written`);
  }
}

/**
 * Adds the records from `from` on in large batches of ascending keys, which every store takes
 * quickly.
 */
async function finish(store, keys, from, count) {
  for (let start = from; start < count; start += FINISHING_BATCH) {
    const {
      keys: ids,
      values,
      data,
    } = batchOf(keys, start, Math.min(count, start + FINISHING_BATCH));
    const order = [...ids.keys()].sort((a, b) => (ids[a] < ids[b] ? -1 : 1));
    await store.put({
      keys: order.map((i) => ids[i]),
      values: order.map((i) => values[i]),
      data: order.map((i) => data[i]),
    });
  }
}

/**
 * @param {{ peer: string, directory: string, keys: import('../lib/workload.mjs').KeyKind,
 *   from: number, count: number, limitMs: number }} job `from`: records that the store holds.
 */
export async function measure({ peer, directory, keys, from, count, limitMs }) {
  const store = await (await loadPeer(peer)).open(directory);
  const before = deviceBytesWritten(directory);
  const loopDelay = watchLoop();
  const latencies = [];
  let putMs = 0;
  let done = from;
  while (done < count && putMs < limitMs) {
    const batch = batchOf(keys, done, Math.min(count, done + BATCH));
    done += batch.keys.length;
    const start = performance.now();
    await store.put(batch);
    const ms = performance.now() - start;
    putMs += ms;
    latencies.push(ms);
    await giveTurn(peer);
  }
  const delay = loopDelay();
  const start = performance.now();
  await store.settle?.();
  const settleMs = performance.now() - start;
  const after = deviceBytesWritten(directory);
  await finish(store, keys, done, count);
  await store.settle?.();
  check(store, keys, count);
  const merges = store.store?.stats().merges;
  await store.close();
  return {
    done: done - from,
    putMs,
    settleMs,
    recordsPerSecond: (1000 * (done - from)) / (putMs + settleMs),
    ...quantiles(latencies),
    ...delay,
    deviceBytes: after - before,
    directoryBytes: directoryBytes(directory),
    merges: merges && { ...merges, lastError: undefined },
  };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ from, count, kinds }, names) {
  const parts = kinds.map((kind) => partOf(kind, names));
  return {
    text:
      `${many(count - from)} records of ${RECORD_BYTES} bytes are added to ${many(from)}, in durable batches of ${number(BATCH)}, one after the other, measured for no longer than ${duration(LOAD_LIMIT_MS)}; who needs less than ${duration(QUICK_MS)} does it ${timesMeasured(kinds)} times, of which the medians are shown. ` +
      "The time runs until lodestore's merges are done; what the others compact later is not counted against them. " +
      'Bytes written are those of the device, as the kernel counts them for all processes, journal and all.',
    tables: parts.map(({ table }) => table),
    charts: parts.map(({ chart }) => chart),
    goals: parts.flatMap(({ goals }) => goals),
    comparisons: parts.flatMap(({ comparisons }) => comparisons),
  };
}

function timesMeasured(kinds) {
  return Math.max(...kinds.flatMap(({ peers }) => peers.map(({ samples }) => samples.length)));
}

function partOf({ keys, peers: measured }, names) {
  const peers = measured.map(({ peer, samples }) => ({ peer, samples, ...medians(samples) }));
  const rows = peers.map((one) => [
    names[one.peer],
    withSpread(spread(one.samples.map((sample) => sample.recordsPerSecond)), rate),
    number(one.done),
    duration(one.putMs + one.settleMs),
    duration(one.p99),
    duration(one.max),
    duration(one.delayP50),
    duration(one.delayP99),
    times(one.deviceBytes / (one.done * RECORD_BYTES)),
    megabytes(one.directoryBytes),
  ]);
  const bars = peers.map(({ peer, recordsPerSecond }) => ({
    label: names[peer],
    value: recordsPerSecond,
    text: rate(recordsPerSecond),
    ours: peer.startsWith('lodestore'),
  }));
  return {
    table: { caption: `Keys: ${keys}`, head: HEAD, rows },
    chart: { name: `load-${keys}`, title: `Loading ${keys} keys: records per second`, bars },
    goals: goalsOf(keys, peers, names),
    comparisons: comparisonsOf(keys, peers),
  };
}

const HEAD = [
  '',
  'records/s',
  'done',
  'time',
  'p99',
  'longest',
  'loop delay p50',
  'loop delay p99',
  'device bytes / data',
  'on disk',
];

function comparisonsOf(keys, peers) {
  const ratiosOf = (ours, valueOf, better) => {
    const values = (id) => (peers.find(({ peer }) => peer === id)?.samples ?? []).map(valueOf);
    return Object.fromEntries(
      RIVALS.map((id) => [id, ratioSpread(values(ours), values(id), better)]),
    );
  };
  const rateOf = (one) => one.recordsPerSecond;
  const writtenOf = (one) => one.deviceBytes / one.done;
  const kept = (one) => one.directoryBytes;
  const bytes = `${keys} keys: bytes`;
  const what = `load by ${number(BATCH)}, merges to the end included, ${keys} keys`;
  return [
    { what, commits: 'default', ratios: ratiosOf('lodestore', rateOf, 'more') },
    {
      what: `load, ${bytes} written to the device`,
      commits: 'default',
      ratios: ratiosOf('lodestore', writtenOf, 'less'),
    },
    {
      what: `load, ${bytes} on disk`,
      commits: 'default',
      ratios: ratiosOf('lodestore', kept, 'less'),
    },
    { what, commits: 'inline', ratios: ratiosOf(INLINE, rateOf, 'more') },
  ];
}

function goalsOf(keys, peers, names) {
  const ours = peers.find(({ peer }) => peer === 'lodestore');
  const rivals = peers.filter(({ peer }) => RIVALS.includes(peer));
  const best = bestOf(rivals, ({ recordsPerSecond }) => recordsPerSecond);
  return [
    goal(
      `${keys}: at least 2.5 x the best peer`,
      ours?.recordsPerSecond / best?.recordsPerSecond,
      { atLeast: 2.5 },
      (value) => `${times(value)} ${names[best.peer]}`,
    ),
    goal(
      `${keys}: at most 3 bytes on the device per byte of data`,
      ours?.deviceBytes / (ours?.done * RECORD_BYTES),
      { atMost: 3 },
      (value) => number(value, 2),
    ),
  ];
}
