import {
  blockingGoal,
  figuresOf,
  freeGoal,
  KEY_KINDS,
  labelOfShape,
  LIMIT,
  measureCell,
  partsOf,
} from '../lib/commit-cells.mjs';
import { measureCommits } from '../lib/commit-loop.mjs';
import { duration } from '../lib/number-text.mjs';
import { bestOf, goal, withLimit } from '../lib/section.mjs';
import { loadPeer, RIVALS, VARIANTS } from '../peers/index.mjs';

export const place = 3;
export const title = 'Concurrent writers';
export const measure = measureCommits;

const SHAPES = [
  [16, 1],
  [16, 10],
  [256, 1],
  [256, 10],
];
const BRIEF_SHAPES = [[256, 10]];
/** Default commits, against better-sqlite3 behind a queue. */
const FACTORS = { ascending: 1, random: 3 };

/** @type {(context: import('../lib/context.mjs').Context) => Promise<any>} */
export async function run(context) {
  const wanted = await casesOf(context);
  const cells = [];
  for (const keys of KEY_KINDS) {
    for (const [writers, batch] of context.pick(SHAPES, BRIEF_SHAPES)) {
      const shape = { keys, writers, batch };
      cells.push(await measureCell(context, 'concurrent', shape, wanted, context.pick(3, 1)));
    }
  }
  return { cells };
}

/**
 * lodestore without a queue; every other peer with one, and also without if it groups by itself.
 */
async function casesOf(context) {
  const cases = ['lodestore', ...context.usable(VARIANTS)].map((peer) => ({ peer }));
  for (const peer of context.usable([...RIVALS, LIMIT])) {
    const { groupsItself } = await loadPeer(peer);
    if (groupsItself) cases.push({ peer });
    cases.push({ peer, grouped: true });
  }
  return cases;
}

/** @type {(result: any, names: Record<string, string>) => import('../lib/section.mjs').Section} */
export function report({ cells }, names) {
  const parts = cells.map((cell) => partsOf(cell, 'concurrent', names));
  return {
    text:
      'Each writer hands in its next batch when its last one is durable; the store is that of row 1. "Grouped" is a peer behind a queue in the ' +
      'application: one transaction in flight, everything that comes meanwhile in the next one. Without that queue the peers that do not group by themselves ' +
      'sync each batch for itself, as in rows 1 and 2. lodestore inline is insertBatch of a store that commits inline.',
    tables: parts.map(({ table }) => table),
    charts: parts.map(({ chart }) => chart),
    goals: cells.flatMap((cell) => goalsOf(cell, names)),
    comparisons: parts.flatMap(({ comparisons }) => comparisons),
  };
}

function goalsOf(cell, names) {
  const { middle } = figuresOf(cell);
  const grouped = RIVALS.map((peer) => `${peer}, grouped`);
  const best = bestOf(grouped, (id) => middle[id]?.recordsPerSecond ?? Number.NaN);
  const [peer] = (best ?? '').split(',');
  return [
    freeGoal(cell, names, 1),
    blockingGoal(cell, 'lodestore', FACTORS[cell.keys]),
    withLimit(
      goal(
        `${labelOfShape(cell)}: p99 below that of the fastest peer, grouped`,
        middle.lodestore?.p99 - middle[best]?.p99,
        { atMost: 0 },
        () =>
          `${duration(middle.lodestore.p99)} against ${duration(middle[best].p99)} ${names[peer]}`,
      ),
      middle[`${LIMIT}, grouped`]?.p99,
      duration,
    ),
  ];
}
