import { statSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { medians, quantiles, spread } from '../lib/figures.mjs';
import { LOAD_LIMIT_MS } from '../lib/fixtures.mjs';
import { deviceBytesWritten } from '../lib/machine.mjs';
import { duration, many, megabytes, number, rate, times, withSpread } from '../lib/number-text.mjs';
import { bestOf, goal } from '../lib/section.mjs';
import { batchOf, dataAt, keyAt, mix, RECORD_BYTES, valueAt } from '../lib/workload.mjs';
import { loadPeer, RIVALS, STORES } from '../peers/index.mjs';

export const place = 4;
export const title = 'Load, by 1,000';

const BATCH = 1_000;
const FINISHING_BATCH = 250_000;
const CHECKED_RECORDS = 1_000;
const QUICK_MS = 15_000;
/** Beside the one whose stores the other rows open. */
const EXTRA_ROUNDS = 2;

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const count = context.pick(5_000_000, 100_000);
  const kinds = [];
  for (const keys of ['ascending', 'random']) {
    const made = await context.fixtures.getAll(context.usable(STORES), keys, count);
    kinds.push({ keys, peers: await againWhereQuick(context, keys, count, made) });
  }
  return { count, kinds };
}

/** Who loads quickly does so in all rounds: what is close is judged on medians. */
async function againWhereQuick(context, keys, count, made) {
  const isQuick = ({ loaded: { putMs, settleMs } }) => putMs + settleMs < QUICK_MS;
  const cases = made.filter(isQuick).map(({ peer }) => ({
    id: peer,
    peer,
    job: { peer, keys, count, limitMs: LOAD_LIMIT_MS },
  }));
  const again = await context.rounds('load', cases, context.pick(EXTRA_ROUNDS, 0));
  return made.map(({ peer, loaded }) => {
    const more = again.find((one) => one.peer === peer)?.samples ?? [];
    return { peer, samples: [loaded, ...more] };
  });
}

function directoryBytes(directory) {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true });
  const paths = files
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath ?? file.path, file.name));
  return paths.reduce((sum, path) => sum + statSync(path).blocks * 512, 0);
}

/** Looks some records up, so that no figure comes from a store that lost them. */
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
 * @param {{ peer: string, directory: string, keys: import('../lib/workload.mjs').KeyKind, count:
 * number, limitMs: number }} job
 */
export async function measure({ peer, directory, keys, count, limitMs }) {
  const store = await (await loadPeer(peer)).open(directory);
  const before = deviceBytesWritten(directory);
  const latencies = [];
  let putMs = 0;
  let done = 0;
  while (done < count && putMs < limitMs) {
    const batch = batchOf(keys, done, Math.min(count, done + BATCH));
    done += batch.keys.length;
    const start = performance.now();
    await store.put(batch);
    const ms = performance.now() - start;
    putMs += ms;
    latencies.push(ms);
  }
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
    done,
    putMs,
    settleMs,
    recordsPerSecond: (1000 * done) / (putMs + settleMs),
    ...quantiles(latencies),
    deviceBytes: after - before,
    directoryBytes: directoryBytes(directory),
    merges: merges && { ...merges, lastError: undefined },
  };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ count, kinds }, names) {
  const parts = kinds.map((kind) => partOf(kind, names));
  return {
    text:
      `${many(count)} records of ${RECORD_BYTES} bytes in durable batches of ${number(BATCH)}, one after the other, measured for no longer than ${duration(LOAD_LIMIT_MS)}; who needs less than ${duration(QUICK_MS)} does it ${timesMeasured(kinds)} times, of which the medians are shown. ` +
      "The time runs until lodestore's merges are done; what the others compact later is not counted against them. " +
      'Bytes written are those of the device, as the kernel counts them for all processes, journal and all.',
    tables: parts.map(({ table }) => table),
    charts: parts.map(({ chart }) => chart),
    goals: parts.flatMap(({ goals }) => goals),
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
    times(one.deviceBytes / (one.done * RECORD_BYTES)),
    megabytes(one.directoryBytes),
  ]);
  const head = [
    '',
    'records/s',
    'done',
    'time',
    'p99',
    'longest',
    'device bytes / data',
    'on disk',
  ];
  const bars = peers.map(({ peer, recordsPerSecond }) => ({
    label: names[peer],
    value: recordsPerSecond,
    text: rate(recordsPerSecond),
    ours: peer === 'lodestore',
  }));
  return {
    table: { caption: `Keys: ${keys}`, head, rows },
    chart: { name: `load-${keys}`, title: `Loading ${keys} keys: records per second`, bars },
    goals: goalsOf(keys, peers, names),
  };
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
