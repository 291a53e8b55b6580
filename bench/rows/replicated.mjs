import { fork } from 'node:child_process';
import { on, once } from 'node:events';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connectEngine, ENGINES } from '../lib/engines.mjs';
import { median, medians, quantiles, ratioSpread, spread } from '../lib/figures.mjs';
import { duration, number, rate, times, withSpread } from '../lib/number-text.mjs';
import { goal } from '../lib/section.mjs';
import { dataAt, keyAt, valueAt } from '../lib/workload.mjs';

export const place = 16;
export const title = 'Replicated against local';

const REPLICA = fileURLToPath(new URL('../lib/replica-process.mjs', import.meta.url));
const WRITERS = [1, 16, 256];
/** What the adapters ask the engine for by default. */
const LEASE_MS = 3_000;
/** Bytes of a bare append: about an entry of one batch. */
const ENTRY_BYTES = 150;
/** Every N acknowledged batches, the time is recorded for the lag of the replica. */
const SAMPLED = 8;
const WAIT_MS = 60_000;

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const time = context.pick(
    { warmUpMs: 1_000, measureMs: 5_000 },
    { warmUpMs: 100, measureMs: 400 },
  );
  const rounds = context.pick(3, 1);
  const engines = [];
  const missing = [];
  for (const { id, start } of ENGINES) {
    const engine = await start(context.scratch);
    if (engine === undefined) {
      missing.push(id);
      context.log(`${id} is left out: it is not installed, or too old`);
      continue;
    }
    context.log(engine.name);
    try {
      const { address, name, setting } = engine;
      const cases = [
        ...WRITERS.map((writers) => commitCase('local', writers, { ...time })),
        { id: 'append', peer: id, job: { kind: 'append', engine: address, ...time } },
        ...WRITERS.map((writers) =>
          commitCase('replicated', writers, { engine: address, followed: writers > 1, ...time }),
        ),
        { id: 'takeover', peer: id, job: { kind: 'takeover', engine: address } },
        { id: 'catch-up', peer: id, job: catchUpJob(context, address) },
      ];
      const results = await context.rounds('replicated', cases, rounds);
      engines.push({ id, name, setting, cases: results });
    } finally {
      await engine.stop();
    }
  }
  return { engines, missing };
}

function commitCase(kind, writers, job) {
  return { id: `${kind} ${writers}`, peer: kind, job: { kind, writers, ...job } };
}

function catchUpJob(context, engine) {
  return { kind: 'catch-up', engine, records: context.pick(1_000_000, 20_000) };
}

/** @param {any} job */
export async function measure(job) {
  switch (job.kind) {
    case 'local':
      return await measureLocal(job);
    case 'append':
      return await measureAppend(job);
    case 'replicated':
      return await measureReplicated(job);
    case 'takeover':
      return await measureTakeover(job);
    default:
      return await measureCatchUp(job);
  }
}

const nowMs = () => performance.timeOrigin + performance.now();
const newName = () => `bench-${process.pid}-${Date.now()}`;

/** Writers that each put a record when their last one is acknowledged. */
async function commitFor(put, writers, { warmUpMs, measureMs }) {
  let next = 0;
  /** @type {number[]} */
  let latencies = [];
  /** @type {[sequence: number, atMs: number][]} */
  const acknowledged = [];
  const start = performance.now();
  const from = start + warmUpMs;
  const to = from + measureMs;
  const writer = async () => {
    for (;;) {
      const calledAt = performance.now();
      if (calledAt >= to) return;
      const i = next++;
      const { sequence } = await put(keyAt('ascending', i), valueAt(i), dataAt(i));
      const now = performance.now();
      if (calledAt < from || now >= to) continue;
      latencies.push(now - calledAt);
      if (sequence % BigInt(SAMPLED) === 0n) acknowledged.push([Number(sequence), nowMs()]);
    }
  };
  await Promise.all(Array.from({ length: writers }, writer));
  const { p50, p99, max } = quantiles(latencies);
  return { perSecond: (1_000 * latencies.length) / measureMs, p50, p99, max, acknowledged };
}

async function measureLocal({ directory, writers, ...time }) {
  const { MetadataStore } = await import('../../dist/index.js');
  const store = await MetadataStore.open(directory);
  const put = (key, value, data) => store.put(key, value, data);
  const { acknowledged: _, ...figures } = await commitFor(put, writers, time);
  await store.close();
  return figures;
}

async function measureAppend({ engine: address, ...time }) {
  const engine = await connectEngine(address);
  const log = await engine.log(newName());
  let position = 0n;
  const append = async (_key, value) => {
    const entry = new Uint8Array(ENTRY_BYTES).fill(Number(value & 0xffn));
    const result = await log.append(++position, entry);
    if (result !== 'appended') throw new Error(`an append at ${position} is ${result}`);
    return { sequence: position };
  };
  const { acknowledged: _, ...figures } = await commitFor(append, 1, time);
  await engine.close();
  return figures;
}

/** A node in a process of its own, which says that it is ready. */
async function startNode(settings) {
  const child = fork(REPLICA, [JSON.stringify(settings)], { stdio: 'inherit' });
  const ready = once(child, 'message', { signal: AbortSignal.timeout(WAIT_MS) });
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the ${settings.role} ended with ${code}`);
  });
  await Promise.race([ready, ended]);
  ended.catch(() => undefined);
  return child;
}

async function measureReplicated({ engine: address, directory, writers, followed, ...time }) {
  const { ReplicatedStore } = await import('../../dist/replicated/index.js');
  const engine = await connectEngine(address);
  const log = newName();
  const store = await ReplicatedStore.open(join(directory, 'primary'), {
    log: await engine.log(log),
  });
  await store.promote();
  const settings = { role: 'replica', engine: address, log, directory: join(directory, 'replica') };
  const follower = followed ? await startNode(settings) : undefined;
  try {
    const put = (key, value, data) => store.put(key, value, data);
    const { acknowledged, ...figures } = await commitFor(put, writers, time);
    if (follower === undefined) return figures;
    return { ...figures, ...(await lagOf(follower, acknowledged)) };
  } finally {
    follower?.kill('SIGKILL');
    await store.close();
    await engine.close();
  }
}

/** From the acknowledgement of a batch until the replica shows it. */
async function lagOf(follower, acknowledged) {
  // It may still be catching up with the load.
  await sleep(2_000);
  const answered = on(follower, 'message', { signal: AbortSignal.timeout(WAIT_MS) });
  follower.send('end');
  const { value } = await answered.next();
  const [{ seen }] = value;
  let at = 0;
  const lags = acknowledged
    .sort(([a], [b]) => a - b)
    .map(([sequence, atMs]) => {
      while (at < seen.length && seen[at][0] < sequence) at++;
      if (at === seen.length) throw new Error(`the replica has not shown batch ${sequence}`);
      return Math.max(0, seen[at][1] - atMs);
    });
  const { p50, p99, max } = quantiles(lags);
  return { lagP50: p50, lagP99: p99, lagMax: max };
}

/** From the death of the primary until another node has acknowledged a batch. */
async function measureTakeover({ engine: address, directory }) {
  const { ReplicatedStore } = await import('../../dist/replicated/index.js');
  const log = newName();
  const settings = { role: 'primary', engine: address, log, directory: join(directory, 'first') };
  const first = await startNode(settings);
  const engine = await connectEngine(address);
  const store = await ReplicatedStore.open(join(directory, 'second'), {
    log: await engine.log(log),
    elector: engine.elector(log),
    address: 'second',
  });
  try {
    // The campaign of this node is under way.
    await sleep(500);
    const killedAt = performance.now();
    first.kill('SIGKILL');
    while (store.role !== 'primary') {
      if (performance.now() - killedAt > WAIT_MS) throw new Error('no takeover');
      await sleep(2);
    }
    await store.put(1n << 40n, 1n);
    return { outageMs: performance.now() - killedAt };
  } finally {
    first.kill('SIGKILL');
    await store.close();
    await engine.close();
  }
}

const CATCH_UP_BATCH = 100;
const CATCH_UP_WRITERS = 64;

async function measureCatchUp({ engine: address, directory, records }) {
  const { WriteBatch } = await import('../../dist/index.js');
  const { ReplicatedStore } = await import('../../dist/replicated/index.js');
  const engine = await connectEngine(address);
  const name = newName();
  const primary = await ReplicatedStore.open(join(directory, 'primary'), {
    log: await engine.log(name),
  });
  await primary.promote();
  let next = 0;
  const writer = async () => {
    while (next < records) {
      const batch = new WriteBatch();
      const end = Math.min(records, next + CATCH_UP_BATCH);
      for (; next < end; next++) batch.put(keyAt('ascending', next), valueAt(next), dataAt(next));
      await primary.insertBatch(batch);
    }
  };
  await Promise.all(Array.from({ length: CATCH_UP_WRITERS }, writer));
  const { position } = primary;
  await primary.close();
  const start = performance.now();
  const replica = await ReplicatedStore.open(join(directory, 'replica'), {
    log: await engine.log(name),
  });
  await replica.reached(position);
  const seconds = (performance.now() - start) / 1_000;
  const { size } = replica;
  await replica.close();
  await engine.close();
  if (size !== records) throw new Error(`the replica has ${size} of ${records} records`);
  return { caughtUpPerSecond: records / seconds, entries: Number(position) };
}

/** @type {(result: any) => import('../lib/section.mjs').Section} */
export function report({ engines, missing }) {
  const left = missing.length === 0 ? '' : ` Not installed here: ${missing.join(', ')}.`;
  return {
    text:
      'Batches of one new record with 16 bytes of data; each writer hands in the next when its last one is acknowledged. All servers of an engine, ' +
      'the primary and, with 16 and 256 writers, a replica share the cores and the disk of this machine. "Append" is an append of ' +
      `${ENTRY_BYTES} bytes to the engine by itself. Lag is from the acknowledgement of a batch until a replica in another process shows it. ` +
      `The outage is from kill -9 of the primary until another node has acknowledged a batch, with a lease of ${duration(LEASE_MS)}. Catching up is ` +
      `a new node that reads the whole log, in batches of ${CATCH_UP_BATCH} records.${left}`,
    tables: engines.map(tableOf),
    charts: [],
    goals: engines.flatMap(goalsOf),
  };
}

const samplesOf = ({ cases }, id) => cases.find((one) => one.id === id)?.samples ?? [];

function tableOf(engine) {
  const ids = [...WRITERS.map((writers) => `local ${writers}`), 'append'];
  ids.push(...WRITERS.map((writers) => `replicated ${writers}`));
  const rows = ids.map((id) => {
    const samples = samplesOf(engine, id);
    if (samples.length === 0) return [labelOf(id), '–', '–', '–', '–', '–'];
    const { p50, p99, lagP50, lagP99 } = medians(samples);
    const rates = spread(samples.map(({ perSecond }) => perSecond));
    const lags = [lagP50, lagP99].map((ms) => (ms === undefined ? '' : duration(ms)));
    return [labelOf(id), withSpread(rates, number), duration(p50), duration(p99), ...lags];
  });
  return {
    caption: `${engine.name}: ${engine.setting}`,
    head: ['', 'batches/s', 'p50', 'p99', 'lag p50', 'lag p99'],
    rows,
  };
}

function labelOf(id) {
  const [kind, writers] = id.split(' ');
  if (writers === undefined) return 'append to the engine, one writer';
  return `${kind}, ${writers} writer${writers === '1' ? '' : 's'}`;
}

function goalsOf(engine) {
  const { id } = engine;
  const figures = (caseId, name) => samplesOf(engine, caseId).map((sample) => sample[name]);
  const middle = (caseId, name) => {
    const values = figures(caseId, name);
    return values.length === 0 ? undefined : median(values);
  };
  const outageMs = middle('takeover', 'outageMs');
  const afterLease = outageMs === undefined ? undefined : outageMs - LEASE_MS;
  return [
    goal(
      `${id}, 256 writers: at least 0.4 x local`,
      ratioSpread(figures('replicated 256', 'perSecond'), figures('local 256', 'perSecond'), 'more')
        ?.median,
      { atLeast: 0.4 },
      times,
    ),
    goal(
      `${id}, one writer: at most 1.3 x the time of a bare append`,
      ratioSpread(figures('append', 'p50'), figures('replicated 1', 'p50'), 'less')?.median,
      { atMost: 1.3 },
      times,
    ),
    goal(
      `${id}, 256 writers: replica lag p99 at most 100 ms`,
      middle('replicated 256', 'lagP99'),
      { atMost: 100 },
      duration,
    ),
    goal(
      `${id}: takeover within 5 s of the lease's end`,
      afterLease,
      { atMost: 5_000 },
      (ms) => `${duration(Math.max(0, ms))} (outage ${duration(ms + LEASE_MS)})`,
    ),
    goal(
      `${id}: a new node applies at least 200,000 records/s`,
      middle('catch-up', 'caughtUpPerSecond'),
      { atLeast: 200_000 },
      rate,
    ),
  ];
}
