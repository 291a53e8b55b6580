import { measureCommits } from '../lib/commit-loop.mjs';
import { medians, spread } from '../lib/figures.mjs';
import { duration, number, times, withSpread } from '../lib/number-text.mjs';
import { goal } from '../lib/section.mjs';

export const place = 15;
export const title = 'Commits that block the event loop';
export const measure = measureCommits;

const PEERS = ['lodestore-inline', 'lodestore', 'better-sqlite3'];
const ORDERS = /** @type {const} */ (['ascending', 'random']);
/** Least factor over better-sqlite3, by order of keys and records of a batch. */
const FACTORS = {
  ascending: { 1: 1, 10: 1.2, 100: 1.5, 1_000: 2 },
  random: { 100: 3, 1_000: 3 },
};

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const time = context.pick(
    { warmUpMs: 1_000, measureMs: 1_000 },
    { warmUpMs: 50, measureMs: 200 },
  );
  const parts = [];
  for (const keys of ORDERS) {
    for (const batch of context.pick([1, 10, 100, 1_000], [1, 100])) {
      context.log(`${keys} keys, batches of ${batch}`);
      const cases = context.usable(PEERS).map((peer) => ({
        id: `${peer} ${keys} ${batch}`,
        peer,
        job: { peer, batch, keys, writers: 1, ...time },
      }));
      parts.push({ keys, batch, cases: await context.rounds('inline', cases, context.pick(5, 1)) });
    }
  }
  return { parts };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ parts }, names) {
  const rows = parts.flatMap(({ keys, batch, cases }) =>
    cases
      .filter(({ samples }) => samples.length > 0)
      .map(({ peer, samples }) => {
        const { p50, p99 } = medians(samples);
        const rates = spread(samples.map((sample) => sample.recordsPerSecond));
        return [
          `${keys}, ${number(batch)}`,
          names[peer],
          withSpread(rates, number),
          duration(p50),
          duration(p99),
        ];
      }),
  );
  return {
    text:
      'One writer whose call returns when the batch is durable: nothing else runs on the thread meanwhile. ' +
      'lodestore as it is by default is measured beside it, in the same run.',
    tables: [{ head: ['keys, batch', '', 'records/s', 'p50', 'p99'], rows }],
    charts: [],
    goals: parts.flatMap(goalsOf),
  };
}

function goalsOf({ keys, batch, cases }) {
  const rateOf = (peer) => {
    const samples = cases.find((one) => one.peer === peer)?.samples ?? [];
    return samples.length === 0 ? undefined : medians(samples).recordsPerSecond;
  };
  const atLeast = FACTORS[keys][batch];
  const rival = rateOf('better-sqlite3');
  if (atLeast === undefined || rival === undefined) return [];
  const text = `inline, ${keys} keys, batches of ${number(batch)}: at least ${atLeast} x better-sqlite3`;
  return [goal(text, rateOf('lodestore-inline') / rival, { atLeast }, times)];
}
