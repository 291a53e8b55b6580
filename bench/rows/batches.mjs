import {
  blockingGoal,
  freeGoal,
  KEY_KINDS,
  LIMIT,
  measureCell,
  partsOf,
} from '../lib/commit-cells.mjs';
import { measureCommits } from '../lib/commit-loop.mjs';
import { STORES, VARIANTS } from '../peers/index.mjs';

export const place = 2;
export const title = 'One writer, larger batches';
export const measure = measureCommits;

/** Default commits, against each peer that does not block the event loop. */
const FREE_FACTORS = { 10: 1, 100: 1, 1_000: 2 };
/** Inline commits, against better-sqlite3. */
const INLINE_FACTORS = {
  ascending: { 10: 1.2, 100: 1.5, 1_000: 2 },
  random: { 100: 3, 1_000: 3 },
};

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const wanted = context.usable([...STORES, ...VARIANTS, LIMIT]).map((peer) => ({ peer }));
  const cells = [];
  for (const keys of KEY_KINDS) {
    for (const batch of context.pick([10, 100, 1_000], [100])) {
      const shape = { keys, writers: 1, batch };
      cells.push(await measureCell(context, 'batches', shape, wanted, context.pick(3, 1)));
    }
  }
  return { cells };
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ cells }, names) {
  const parts = cells.map((cell) => partsOf(cell, 'batches', names));
  return {
    text: 'As row 1, with more records in each batch.',
    tables: parts.map(({ table }) => table),
    charts: parts.map(({ chart }) => chart),
    goals: cells.flatMap((cell) => goalsOf(cell, names)),
    comparisons: parts.flatMap(({ comparisons }) => comparisons),
  };
}

function goalsOf(cell, names) {
  const goals = [freeGoal(cell, names, FREE_FACTORS[cell.batch])];
  const factor = INLINE_FACTORS[cell.keys][cell.batch];
  if (factor !== undefined) goals.push(blockingGoal(cell, 'lodestore-inline', factor));
  return goals;
}
