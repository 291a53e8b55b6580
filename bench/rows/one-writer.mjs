import { medians, spread } from '../lib/figures.mjs';
import { measureCommits } from '../lib/commit-loop.mjs';
import { duration, number, rate, times, withSpread } from '../lib/number-text.mjs';
import { goal, withLimit } from '../lib/section.mjs';
import { FILES, STORES } from '../peers/index.mjs';

export const place = 1;
export const title = 'One writer, batches of 1';
export const measure = measureCommits;

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const peers = context.usable([...STORES, ...FILES]);
  const job = { batch: 1, writers: 1, ...context.pick(LONG, BRIEF) };
  const cases = peers.map((peer) => ({ id: peer, peer, job: { peer, ...job } }));
  return { cases: await context.rounds('one-writer', cases, context.pick(5, 1)) };
}

const LONG = { warmUpMs: 1_500, measureMs: 1_500 };
const BRIEF = { warmUpMs: 100, measureMs: 300 };

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ cases }, names) {
  const measured = cases.filter((one) => one.samples.length > 0);
  const rows = measured.map((one) => {
    const middle = medians(one.samples);
    return [
      names[one.peer],
      withSpread(spread(one.samples.map((sample) => sample.commitsPerSecond)), number),
      duration(middle.p50),
      duration(middle.p99),
      duration(middle.loopMicroseconds / 1000),
      duration(middle.cpuMicroseconds / 1000),
    ];
  });
  const head = ['', 'commits/s', 'p50', 'p99', 'event loop busy per commit', 'main thread CPU'];
  return {
    text:
      'Each batch holds one record with 16 bytes of data and an ascending key, and is awaited before the next. ' +
      'The time of the event loop is what performance.eventLoopUtilization() calls active.',
    tables: [{ head, rows }],
    charts: [chartOf(measured, names)],
    goals: goals(measured),
  };
}

function chartOf(cases, names) {
  const bars = cases.map(({ peer, samples }) => {
    const value = medians(samples).commitsPerSecond;
    return { label: names[peer], value, text: rate(value), ours: peer === 'lodestore' };
  });
  return { name: 'one-writer', title: 'Durable commits per second, more is better', bars };
}

function goals(cases) {
  const middle = Object.fromEntries(cases.map(({ peer, samples }) => [peer, medians(samples)]));
  const ours = middle.lodestore;
  const over = (peer) => ours?.commitsPerSecond / middle[peer]?.commitsPerSecond;
  const others = ['lmdb', 'classic-level', 'rocksdb', 'append'].filter((peer) => middle[peer]);
  const limitOver = (peer) =>
    middle['overwrite-dsync']?.commitsPerSecond / middle[peer]?.commitsPerSecond;
  return [
    withLimit(
      goal('at least 1.0 x better-sqlite3', over('better-sqlite3'), { atLeast: 1 }, times),
      limitOver('better-sqlite3'),
      times,
    ),
    withLimit(
      goal('at least 1.4 x every other peer', lowest(others, over), { atLeast: 1.4 }, times),
      lowest(others, limitOver),
      times,
    ),
    goal(
      'at least 0.9 x overwriting reserved space by the same route (O_DSYNC)',
      over('overwrite-dsync'),
      { atLeast: 0.9 },
      times,
    ),
    goal('at most 50 µs of event loop', ours?.loopMicroseconds, { atMost: 50 }, (us) =>
      duration(us / 1000),
    ),
  ];
}

function lowest(peers, ratioOf) {
  return Math.min(...peers.map(ratioOf));
}
