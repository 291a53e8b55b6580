import { medians, spread } from '../lib/figures.mjs';
import { duration, many, number, withSpread } from '../lib/number-text.mjs';
import { goal } from '../lib/section.mjs';
import { measureReopen, mergedCase } from './reopen.mjs';

export const place = 11;
export const title = 'Open without waiting';
export const measure = measureReopen;

const COUNT = 5_000_000;
const BRIEF_COUNT = 100_000;
const WARM = 'lodestore, in the background';

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const count = context.pick(COUNT, BRIEF_COUNT);
  const made = await context.fixtures.getAll(
    context.usable(['lodestore', 'lmdb']),
    'ascending',
    count,
  );
  const cases = made.map(({ peer, directory }) => ({
    id: `${peer} ${count}`,
    peer,
    job: { peer, directory, keys: 'ascending', count },
  }));
  const merged = await mergedCase(context, made, 'ascending', count);
  if (merged !== undefined) {
    const job = { ...merged.job, options: { warm: 'background' } };
    cases.unshift({ id: WARM, peer: WARM, job });
  }
  const measured = await context.rounds('warm', cases, context.pick(5, 1));
  if (merged !== undefined) context.remove(merged.job.directory);
  return { count, cases: measured };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ count, cases }, names) {
  const shown = cases.filter((one) => one.samples.length > 0);
  const middle = Object.fromEntries(shown.map(({ peer, samples }) => [peer, medians(samples)]));
  const of = (samples, field) => withSpread(spread(samples.map((one) => one[field])), duration);
  const rows = shown.map(({ peer, samples }) => [
    names[peer] ?? peer,
    of(samples, 'openMs'),
    of(samples, 'firstGetMs'),
    of(samples, 'visitedMs'),
  ]);
  const ratio = middle[WARM]?.firstGetMs / middle.lmdb?.firstGetMs;
  return {
    text:
      `${many(count)} records, ascending keys, a fresh process, files in the page cache. The first row is ` +
      "open(directory, { warm: 'background' }) right after a merge: chunks are read and checked when a get needs " +
      'them, and by workers. The second waits until all is read.',
    tables: [{ head: ['', 'open', 'first get', 'all visited'], rows }],
    charts: [],
    goals: [
      goal(
        'first get at most 1.5 x that of lmdb',
        ratio,
        { atMost: 1.5 },
        (value) => `${number(value, 2)} x`,
      ),
    ],
  };
}
