import { statSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { quantiles } from '../lib/figures.mjs';
import { deviceBytesWritten, processBytesWritten } from '../lib/machine.mjs';
import { duration, many, megabytes, number, rate, times } from '../lib/number-text.mjs';
import { bestOf, goal } from '../lib/section.mjs';
import { batchOf, dataAt, keyAt, mix, RECORD_BYTES, valueAt } from '../lib/workload.mjs';
import { loadPeer, RIVALS, STORES } from '../peers/index.mjs';

export const place = 4;
export const title = 'Load, by 1,000';

const BATCH = 1_000;
const CHECKED_RECORDS = 1_000;

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const count = context.pick(5_000_000, 100_000);
  const kinds = [];
  for (const keys of ['ascending', 'random']) {
    const made = await context.fixtures.getAll(context.usable(STORES), keys, count);
    kinds.push({ keys, peers: made.map(({ peer, loaded }) => ({ peer, ...loaded })) });
  }
  return { count, kinds };
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

/** @param {{ peer: string, directory: string, keys: import('../lib/workload.mjs').KeyKind, count: number }} job */
export async function measure({ peer, directory, keys, count }) {
  const store = await (await loadPeer(peer)).open(directory);
  const before = { device: deviceBytesWritten(directory), process: processBytesWritten() };
  const latencies = [];
  let putMs = 0;
  for (let from = 0; from < count; from += BATCH) {
    const batch = batchOf(keys, from, Math.min(count, from + BATCH));
    const start = performance.now();
    await store.put(batch);
    const ms = performance.now() - start;
    putMs += ms;
    latencies.push(ms);
  }
  const start = performance.now();
  await store.settle?.();
  const settleMs = performance.now() - start;
  const after = { device: deviceBytesWritten(directory), process: processBytesWritten() };
  check(store, keys, count);
  const merges = store.store?.stats().merges;
  await store.close();
  return {
    putMs,
    settleMs,
    recordsPerSecond: (1000 * count) / (putMs + settleMs),
    ...quantiles(latencies),
    deviceBytes: after.device - before.device,
    processBytes: after.process - before.process,
    directoryBytes: directoryBytes(directory),
    merges: merges && { ...merges, lastError: undefined },
  };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ count, kinds }, names) {
  const parts = kinds.map((kind) => partOf(count, kind, names));
  return {
    text:
      `${many(count)} records of ${RECORD_BYTES} bytes in durable batches of ${number(BATCH)}, one after the other, once per peer. ` +
      "The time runs until lodestore's merges are done; what the others compact later is not counted against them. " +
      'Bytes written are those of the device, as the kernel counts them for all processes, journal and all.',
    tables: parts.map(({ table }) => table),
    charts: parts.map(({ chart }) => chart),
    goals: parts.flatMap(({ goals }) => goals),
  };
}

function partOf(count, { keys, peers }, names) {
  const dataBytes = count * RECORD_BYTES;
  const rows = peers.map((one) => [
    names[one.peer],
    rate(one.recordsPerSecond),
    duration(one.putMs + one.settleMs),
    duration(one.p99),
    duration(one.max),
    times(one.deviceBytes / dataBytes),
    times(one.processBytes / dataBytes),
    megabytes(one.directoryBytes),
  ]);
  const head = [
    '',
    'records/s',
    'time',
    'p99',
    'longest',
    'device bytes / data',
    'process',
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
    goals: goalsOf(keys, peers, dataBytes, names),
  };
}

function goalsOf(keys, peers, dataBytes, names) {
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
      ours?.deviceBytes / dataBytes,
      { atMost: 3 },
      (value) => number(value, 2),
    ),
  ];
}
