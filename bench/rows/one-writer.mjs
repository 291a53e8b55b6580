import { measureCommits } from '../lib/commit-loop.mjs';
import {
  blockingGoal,
  figuresOf,
  freeGoal,
  KEY_KINDS,
  LIMIT,
  measureCell,
  partsOf,
} from '../lib/commit-cells.mjs';
import { ratioSpread } from '../lib/figures.mjs';
import { duration, many, times } from '../lib/number-text.mjs';
import { goal } from '../lib/section.mjs';
import { FILES, STORES, VARIANTS } from '../peers/index.mjs';

export const place = 1;
export const title = 'One writer, batches of 1';
export const measure = measureCommits;

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const cells = [];
  for (const keys of KEY_KINDS) {
    // For bare files, all keys are the same.
    const files = keys === 'ascending' ? FILES : [LIMIT];
    const wanted = context.usable([...STORES, ...VARIANTS, ...files]).map((peer) => ({ peer }));
    const shape = { keys, writers: 1, batch: 1 };
    cells.push(await measureCell(context, 'one-writer', shape, wanted, context.pick(5, 1)));
  }
  return { held: context.fixtures.baseCount, cells };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ held, cells }, names) {
  const parts = cells.map((cell) => partsOf(cell, 'one-writer', names));
  return {
    text:
      `Each batch holds one new record with 16 bytes of data, and is awaited before the next. The store holds ${many(held)} records ` +
      'already: each measurement runs on a copy. The loop delay is that of monitorEventLoopDelay() beyond its timer. A peer that blocks the event loop ' +
      'gives it a turn after each commit, off the clock. Busy is what performance.eventLoopUtilization() calls active.',
    tables: [...parts.map(({ table }) => table), ...cells.map((cell) => loopTable(cell, names))],
    charts: parts.map(({ chart }) => chart),
    goals: cells.flatMap((cell) => goalsOf(cell, names)),
    comparisons: parts.flatMap(({ comparisons }) => comparisons),
  };
}

function loopTable(cell, names) {
  const { shown, middle } = figuresOf(cell);
  const rows = shown.map(({ id, peer }) => [
    names[peer],
    duration(middle[id].loopMicroseconds / 1000),
    duration(middle[id].cpuMicroseconds / 1000),
  ]);
  const head = ['', 'event loop busy per commit', 'main thread CPU per commit'];
  return { caption: `The event loop, ${cell.keys} keys`, head, rows };
}

function goalsOf(cell, names) {
  const { middle, rates } = figuresOf(cell);
  const what = `${cell.keys} keys`;
  const ours = rates.lodestore ?? [];
  const goals = [
    freeGoal(cell, names, 1),
    goal(
      `${what}: at least 0.9 x overwriting reserved space by the same route (O_DSYNC)`,
      ratioSpread(ours, rates[LIMIT] ?? [], 'more')?.median,
      { atLeast: 0.9 },
      times,
    ),
    goal(
      `${what}: at most 50 µs of event loop per commit`,
      middle.lodestore?.loopMicroseconds,
      { atMost: 50 },
      (us) => duration(us / 1000),
    ),
  ];
  if (cell.keys === 'ascending') goals.push(blockingGoal(cell, 'lodestore-inline', 1));
  return goals;
}
