import { performance } from 'node:perf_hooks';
import { medians, quantiles, ratioSpread, spread } from '../lib/figures.mjs';
import { watchLoop } from '../lib/loop-delay.mjs';
import { deviceBytesWritten } from '../lib/machine.mjs';
import { duration, many, number, rate, times, withSpread } from '../lib/number-text.mjs';
import { bestOf, goal, withLimit } from '../lib/section.mjs';
import { churnOf, RECORD_BYTES } from '../lib/workload.mjs';
import { giveTurn, loadPeer, RIVALS, STORES } from '../peers/index.mjs';

export const place = 9;
export const title = 'Overwrite churn';

const BATCH = 1_000;
const OURS = 'lodestore';
const LIMIT = 'overwrite-dsync';

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const count = context.fixtures.baseCount;
  const updates = context.pick(5_000_000, 100_000);
  const limitMs = context.pick(10_000, 5_000);
  const made = await context.fixtures.getAll(context.usable(STORES), 'random');
  const job = { count, updates, limitMs };
  const stores = made.map(({ peer, directory: source }) => ({
    id: peer,
    peer,
    source,
    job: { peer, ...job },
  }));
  const isOurs = ({ peer }) => peer === OURS;
  const often = [
    ...stores.filter(isOurs),
    { id: LIMIT, peer: LIMIT, job: { peer: LIMIT, ...job } },
  ];
  const cases = await context.rounds('churn', often, context.pick(3, 1));
  const rivals = stores.filter((one) => !isOurs(one));
  cases.push(...(await context.rounds('churn', rivals, 1)));
  return { count, updates, limitMs, cases };
}

/** @param {any} job */
export async function measure({ peer, directory, count, updates, limitMs }) {
  const store = await (await loadPeer(peer)).open(directory);
  store.warm?.();
  const bytesBefore = deviceBytesWritten(directory);
  const loopDelay = watchLoop();
  const latencies = [];
  let putMs = 0;
  // A slow peer is stopped once its rate is known.
  for (let done = 0; done < updates && putMs < limitMs; done += BATCH) {
    const batch = churnOf('random', count, BATCH, done / BATCH);
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
  const bytes = deviceBytesWritten(directory) - bytesBefore;
  const done = latencies.length * BATCH;
  await store.close();
  return {
    done,
    recordsPerSecond: (1000 * done) / (putMs + settleMs),
    deviceBytesPerUpdate: bytes / done,
    ...quantiles(latencies),
    ...delay,
  };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ count, updates, limitMs, cases }, names) {
  const shown = cases
    .filter((one) => one.samples.length > 0)
    .map(({ peer, samples }) => ({ peer, samples, ...medians(samples) }));
  const rows = shown.map((one) => [
    names[one.peer],
    rate(one.recordsPerSecond),
    number(one.done),
    duration(one.p50),
    duration(one.p99),
    withSpread(spread(one.samples.map(({ max }) => max)), duration),
    duration(one.delayP50),
    duration(one.delayP99),
    times(one.deviceBytesPerUpdate / RECORD_BYTES),
  ]);
  const bars = shown.map(({ peer, recordsPerSecond }) => ({
    label: names[peer],
    value: recordsPerSecond,
    text: rate(recordsPerSecond),
    ours: peer === 'lodestore',
  }));
  const ours = shown.find(({ peer }) => peer === OURS);
  const limit = shown.find(({ peer }) => peer === LIMIT);
  const best = bestOf(
    shown.filter(({ peer }) => RIVALS.includes(peer)),
    ({ recordsPerSecond }) => recordsPerSecond,
  );
  return {
    text:
      `A store of ${many(count)} random keys, and ${many(updates)} random updates of them in batches of ${number(BATCH)}, a tenth of them deletes; no longer than ` +
      `${duration(limitMs)}. lodestore and the limit in ${ours?.samples.length} interleaved rounds, of which medians are shown, the other peers once. lodestore's time includes its merges to the end.`,
    tables: [{ head: HEAD, rows }],
    charts: [{ name: 'churn', title: 'Updates per second, more is better', bars }],
    comparisons: [comparisonOf(shown)],
    goals: [
      goal(
        'at least 2 x the best peer',
        ours?.recordsPerSecond / best?.recordsPerSecond,
        { atLeast: 2 },
        (value) => `${times(value)} ${names[best.peer]}`,
      ),
      withLimit(
        goal('longest commit at most 50 ms', ours?.max, { atMost: 50 }, duration),
        limit?.max,
        duration,
      ),
    ],
  };
}

const HEAD = [
  '',
  'updates/s',
  'done',
  'p50',
  'p99',
  'longest commit',
  'loop delay p50',
  'loop delay p99',
  'device bytes / data',
];

function comparisonOf(shown) {
  const rates = (id) =>
    (shown.find(({ peer }) => peer === id)?.samples ?? []).map((one) => one.recordsPerSecond);
  const ratios = Object.fromEntries(
    RIVALS.map((id) => [id, ratioSpread(rates(OURS), rates(id), 'more')]),
  );
  const what = `random updates by ${number(BATCH)}, merges to the end included`;
  return { what, commits: /** @type {const} */ ('default'), ratios };
}
