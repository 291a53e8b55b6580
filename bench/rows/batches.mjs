import { medians, spread } from '../lib/figures.mjs';
import { measureCommits } from '../lib/commit-loop.mjs';
import { duration, number, rate, times, withSpread } from '../lib/number-text.mjs';
import { bestOf, BLOCKING, goal, withLimit } from '../lib/section.mjs';
import { FILES, RIVALS, STORES } from '../peers/index.mjs';

export const place = 2;
export const title = 'One writer, larger batches';
export const measure = measureCommits;

const FACTORS = { 10: 1.5, 100: 2.5, 1000: 3.5 };

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const sizes = [];
  for (const batch of context.pick([10, 100, 1_000], [100])) {
    const time = context.pick(
      { warmUpMs: 1_500, measureMs: 1_000 },
      { warmUpMs: 50, measureMs: 200 },
    );
    const cases = context.usable([...STORES, ...FILES]).map((peer) => ({
      id: `${peer} ${batch}`,
      peer,
      job: { peer, batch, writers: 1, ...time },
    }));
    context.log(`batches of ${batch}`);
    sizes.push({ batch, cases: await context.rounds('batches', cases, context.pick(3, 1)) });
  }
  return { sizes };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ sizes }, names) {
  const parts = sizes.map(({ batch, cases }) =>
    partOf(
      batch,
      cases.filter((one) => one.samples.length > 0),
      names,
    ),
  );
  return {
    text: 'As above; records per second. Values and data as in every row, keys ascend.',
    tables: parts.map(({ table }) => table),
    charts: parts.map(({ chart }) => chart),
    goals: parts.map(({ aim }) => aim),
  };
}

function partOf(batch, cases, names) {
  const middle = Object.fromEntries(cases.map(({ peer, samples }) => [peer, medians(samples)]));
  const rows = cases.map(({ peer, samples }) => [
    names[peer],
    withSpread(spread(samples.map((sample) => sample.recordsPerSecond)), number),
    duration(middle[peer].p50),
    duration(middle[peer].p99),
    duration(middle[peer].max),
  ]);
  const bars = cases.map(({ peer }) => {
    const value = middle[peer].recordsPerSecond;
    return { label: names[peer], value, text: rate(value), ours: peer === 'lodestore' };
  });
  const best = bestOf(RIVALS, (peer) => middle[peer]?.recordsPerSecond ?? Number.NaN);
  const over = (peer, rival) => middle[peer]?.recordsPerSecond / middle[rival]?.recordsPerSecond;
  const factor = over('lodestore', best);
  const free = bestOf(
    RIVALS.filter((peer) => !BLOCKING.includes(peer)),
    (peer) => middle[peer]?.recordsPerSecond ?? Number.NaN,
  );
  return {
    table: {
      caption: `Batches of ${number(batch)}`,
      head: ['', 'records/s', 'p50', 'p99', 'longest'],
      rows,
    },
    chart: {
      name: `batches-${batch}`,
      title: `Records per second in durable batches of ${number(batch)}, more is better`,
      bars,
    },
    aim: withLimit(
      goal(
        `batches of ${number(batch)}: at least ${FACTORS[batch]} x the best peer`,
        factor,
        { atLeast: FACTORS[batch] },
        (value) =>
          `${times(value)} ${names[best]}; ${times(over('lodestore', free))} ${names[free]}`,
      ),
      over('overwrite-dsync', best),
      times,
    ),
  };
}
