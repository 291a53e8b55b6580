import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { medians, quantiles, ratioSpread, spread } from '../lib/figures.mjs';
import { watchLoop } from '../lib/loop-delay.mjs';
import { duration, many, number, times, withSpread } from '../lib/number-text.mjs';
import { goal } from '../lib/section.mjs';
import { batchOf, batchSource, keyAt, mix } from '../lib/workload.mjs';
import { loadPeer } from '../peers/index.mjs';

export const place = 8;
export const title = 'Reads and writes together';

/** Peers whose commits leave the event loop free for gets, which are synchronous. */
const READERS = ['lodestore', 'lmdb', 'classic-level'];
const BATCH = 10;
const GETS_PER_TURN = 20;
/** Keeps merges out of the phases without a merge. */
const MERGE_WHEN_TOLD = { mergeBytes: 2 ** 40 };

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const count = context.fixtures.baseCount;
  const other = await context.fixtures.get('lodestore', 'random', context.pick(5_000_000, 100_000));
  const job = {
    count,
    otherDirectory: other.directory,
    phaseMs: context.pick(2_000, 300),
    updates: count / 2,
  };
  const made = await context.fixtures.getAll(context.usable(READERS), 'ascending');
  const cases = made.map(({ peer, directory: source }) => ({
    id: peer,
    peer,
    source,
    job: { peer, ...job },
  }));
  return { count, cases: await context.rounds('mixed', cases, context.pick(3, 1)) };
}

/** Gets in every turn of the event loop until stopped. */
function startReader(store, count) {
  let state = 'running';
  let gets = 0;
  const turn = () => {
    if (state === 'stopped') return;
    for (let i = 0; i < GETS_PER_TURN; i++) store.get(keyAt('ascending', mix(gets++) % count));
    setImmediate(turn);
  };
  turn();
  return () => {
    state = 'stopped';
    return gets;
  };
}

/**
 * One writer at full speed while `job` runs, or for the time given.
 * @returns latencies in milliseconds, and the delay of the event loop beyond the timer's own period
 */
async function phase(store, nextBatch, { phaseMs, count, reads, job }) {
  const stopReader = reads ? startReader(store, count) : () => 0;
  const latencies = [];
  const during = { state: 'running' };
  const start = performance.now();
  const work = (job ?? sleep)(phaseMs).finally(() => (during.state = 'ended'));
  const loopDelay = watchLoop();
  while (during.state === 'running') {
    const batch = nextBatch();
    const from = performance.now();
    await store.put(batch);
    latencies.push(performance.now() - from);
  }
  await work;
  const delay = loopDelay();
  const wallMs = performance.now() - start;
  const gets = stopReader();
  const { p50, p99, max } = quantiles(latencies);
  return {
    p50,
    p99,
    max,
    commits: latencies.length,
    commitsPerSecond: (1000 * latencies.length) / wallMs,
    getsPerSecond: (1000 * gets) / wallMs,
    ...delay,
  };
}

/** @param {any} job */
export async function measure({ peer: id, directory, count, otherDirectory, phaseMs, updates }) {
  const peer = await loadPeer(id);
  const store = await peer.open(directory, MERGE_WHEN_TOLD);
  await store.store?.merge();
  // Made when needed, untimed: thousands of prepared batches would be a heap that the garbage
  // collector has to traverse.
  const nextBatch = batchSource(count, BATCH, 0);
  const measured = (options) => phase(store, nextBatch, { phaseMs, count, ...options });
  await measured({ reads: true });
  const phases = { idle: await measured({ reads: false }), gets: await measured({ reads: true }) };
  if (id === 'lodestore') {
    await addUpdates(store, count, updates);
    phases.merge = await measured({ reads: true, job: () => store.store.merge() });
    await store.settle();
    phases.open = await measured({ reads: true, job: () => openAnother(peer, otherDirectory) });
  }
  await store.close();
  return phases;
}

/** Random overwrites, so that a merge must encode most chunks again. */
async function addUpdates(store, count, updates) {
  for (let done = 0; done < updates; done += 5_000) {
    const batch = batchOf('ascending', 0, 5_000);
    batch.keys = batch.keys.map((_, i) => keyAt('ascending', mix(done + i) % count));
    await store.put(batch);
  }
}

async function openAnother(peer, directory) {
  const other = await peer.open(directory);
  await other.close();
}

const PHASES = {
  idle: 'writer alone',
  gets: 'gets in every turn',
  merge: 'gets, and a merge',
  open: 'gets, and another store opens',
};

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ count, cases }, names) {
  const rows = [];
  const bars = [];
  const goals = [];
  for (const { peer, samples } of cases) {
    for (const [name, label] of Object.entries(PHASES)) {
      const phases = samples.map((sample) => sample[name]).filter(Boolean);
      if (phases.length === 0) continue;
      const middle = medians(phases);
      rows.push([names[peer], label, ...columns(phases, middle)]);
      const text = duration(middle.p99);
      bars.push({
        label: `${names[peer]}, ${label}`,
        value: middle.p99,
        text,
        ours: peer === 'lodestore',
      });
      if (peer === 'lodestore') goals.push(...goalsOf(name, label, middle, samples));
    }
  }
  return {
    text:
      `A store of ${many(count)} records, one writer of batches of ${BATCH} at full speed, and ${GETS_PER_TURN} gets in every turn of the event loop. ` +
      'The delay of the event loop is that of monitorEventLoopDelay() beyond its timer. The merge takes in random updates of half the records; ' +
      'the other store is opened by the same process. Measured as long as those last.',
    tables: [{ head: HEAD, rows }],
    charts: [{ name: 'mixed', title: 'p99 of a commit, less is better', bars }],
    goals,
    comparisons: comparisonsOf(cases),
  };
}

function comparisonsOf(cases) {
  const values = (id, field) =>
    (cases.find(({ peer }) => peer === id)?.samples ?? []).map(({ gets }) => gets[field]);
  const comparison = (what, field) => ({
    what: `one writer by ${BATCH} beside gets in every turn: ${what}`,
    commits: /** @type {const} */ ('default'),
    ratios: Object.fromEntries(
      READERS.slice(1).map((id) => [
        id,
        ratioSpread(values('lodestore', field), values(id, field), 'more'),
      ]),
    ),
  });
  return [comparison('commits', 'commitsPerSecond'), comparison('gets', 'getsPerSecond')];
}

const HEAD = [
  '',
  'meanwhile',
  'commits/s',
  'gets/s',
  'p50',
  'p99',
  'longest',
  'loop delay p50',
  'loop delay p99',
  'longest delay',
];

function columns(phases, middle) {
  return [
    number(middle.commitsPerSecond),
    number(middle.getsPerSecond),
    duration(middle.p50),
    withSpread(spread(phases.map(({ p99 }) => p99)), duration),
    duration(middle.max),
    duration(middle.delayP50),
    duration(middle.delayP99),
    duration(middle.delayMax),
  ];
}

function goalsOf(name, label, middle, samples) {
  const idle = medians(samples.map((sample) => sample.idle));
  const delay = goal(
    `${label}: p99 of the event loop's delay at most 5 ms`,
    middle.delayP99,
    { atMost: 5 },
    duration,
  );
  if (name === 'idle') return [delay];
  const atMost = name === 'merge' ? 4 : 2;
  const text = `${label}: p99 of a commit at most ${atMost} x that of the writer alone`;
  return [goal(text, middle.p99 / idle.p99, { atMost }, times), delay];
}
