import { medians, spread } from '../lib/figures.mjs';
import { measureCommits } from '../lib/commit-loop.mjs';
import { duration, number, rate, times, withSpread } from '../lib/number-text.mjs';
import { bestOf, BLOCKING, goal, withLimit } from '../lib/section.mjs';
import { RIVALS } from '../peers/index.mjs';

export const place = 3;
export const title = 'Concurrent writers';
export const measure = measureCommits;

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const shapes = [];
  for (const [writers, batch] of context.pick(SHAPES, BRIEF_SHAPES)) {
    context.log(`${writers} writers, batches of ${batch}`);
    const cases = casesOf(context, writers, batch);
    const results = await context.rounds('concurrent', cases, context.pick(3, 1));
    shapes.push({ writers, batch, cases: results });
  }
  return { shapes };
}

const SHAPES = [
  [16, 1],
  [16, 10],
  [256, 1],
  [256, 10],
];
const BRIEF_SHAPES = [[256, 10]];

/**
 * lodestore as it is; every other with each writer on its own, and with an application that
 * batches.
 */
function casesOf(context, writers, batch) {
  const time = context.pick(
    { warmUpMs: 1_000, measureMs: 1_000 },
    { warmUpMs: 50, measureMs: 200 },
  );
  const job = { batch, writers, ...time };
  const cases = [{ id: 'lodestore', peer: 'lodestore', job: { peer: 'lodestore', ...job } }];
  for (const peer of context.usable([...RIVALS, 'append', 'overwrite-dsync'])) {
    cases.push({ id: `${peer} alone`, peer, job: { peer, ...job } });
    cases.push({ id: `${peer} grouped`, peer, job: { peer, grouped: true, ...job } });
  }
  return cases;
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ shapes }, names) {
  const parts = shapes.map((shape) => partOf(shape, names));
  return {
    text:
      'Each writer hands in its next batch when its last one is durable. "Grouped" is a peer behind a queue in the ' +
      'application: one transaction in flight, everything that comes meanwhile in the next one.',
    tables: parts.map(({ table }) => table),
    charts: parts.map(({ chart }) => chart),
    goals: parts.flatMap(({ goals }) => goals),
  };
}

function labelOf(id, names) {
  const [peer, variant] = id.split(' ');
  return variant === 'grouped' ? `${names[peer]}, grouped` : names[peer];
}

function partOf({ writers, batch, cases }, names) {
  const shown = cases.filter((one) => one.samples.length > 0);
  const middle = Object.fromEntries(shown.map(({ id, samples }) => [id, medians(samples)]));
  const rows = shown.map(({ id, samples }) => [
    labelOf(id, names),
    withSpread(spread(samples.map((sample) => sample.commitsPerSecond)), number),
    duration(middle[id].p50),
    duration(middle[id].p99),
  ]);
  const bars = shown.map(({ id }) => {
    const value = middle[id].commitsPerSecond;
    return { label: labelOf(id, names), value, text: rate(value), ours: id === 'lodestore' };
  });
  const what = `${writers} writers, batches of ${batch}`;
  return {
    table: { caption: what, head: ['', 'batches/s', 'p50', 'p99'], rows },
    chart: { name: `concurrent-${writers}-${batch}`, title: `${what}: batches per second`, bars },
    goals: goalsOf(what, middle, writers === 16 && batch === 1 ? 1.5 : 2, names),
  };
}

function goalsOf(what, middle, factor, names) {
  const ours = middle.lodestore;
  const score = (id) => middle[id]?.commitsPerSecond ?? Number.NaN;
  const best = (variant, peers = RIVALS) =>
    bestOf(
      peers.map((peer) => `${peer} ${variant}`),
      score,
    );
  const [grouped, alone] = [best('grouped'), best('alone')];
  const free = best(
    'grouped',
    RIVALS.filter((peer) => !BLOCKING.includes(peer)),
  );
  const over = (id) => ours?.commitsPerSecond / score(id);
  const show = (id) => `${times(over(id))} ${id === undefined ? '' : labelOf(id, names)}`;
  const limit = score('overwrite-dsync grouped');
  const p99 = middle[grouped]?.p99;
  return [
    withLimit(
      goal(
        `${what}: at least ${factor} x the best peer, grouped`,
        over(grouped),
        { atLeast: factor },
        () => (free === grouped ? show(grouped) : `${show(grouped)}; ${show(free)}`),
      ),
      limit / score(grouped),
      times,
    ),
    withLimit(
      goal(`${what}: at least 5 x the best peer, not grouped`, over(alone), { atLeast: 5 }, () =>
        show(alone),
      ),
      limit / score(alone),
      times,
    ),
    withLimit(
      goal(
        `${what}: p99 below that of the best peer, grouped`,
        ours?.p99 - p99,
        { atMost: 0 },
        () => `${duration(ours.p99)} against ${duration(p99)}`,
      ),
      middle['overwrite-dsync grouped']?.p99,
      duration,
    ),
  ];
}
