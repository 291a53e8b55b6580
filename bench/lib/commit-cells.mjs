import { BLOCKING, FREE_RIVALS, RIVALS } from '../peers/index.mjs';
import { medians, ratioSpread, spread } from './figures.mjs';
import { duration, number, rate, times, withSpread } from './number-text.mjs';
import { goal, leastRatio, withLimit } from './section.mjs';

/**
 * The results of several peers with the same writers, batches and keys.
 * @typedef {object} CommitCell
 * @property {import('./workload.mjs').KeyKind} keys
 * @property {number} writers
 * @property {number} batch Records.
 * @property {import('./context.mjs').CaseResult[]} cases
 */

/** A bare file, whose figures do not depend on the contents of a store. */
export const LIMIT = 'overwrite-dsync';

export const KEY_KINDS = /** @type {const} */ (['ascending', 'random']);

/**
 * Measures one cell: each case on a copy of the peer's store of a million records.
 * @param {import('./context.mjs').Context} context
 * @param {string} row
 * @param {{ keys: import('./workload.mjs').KeyKind, writers: number, batch: number }} shape
 * @param {readonly { peer: string, grouped?: boolean }[]} wanted
 * @param {number} rounds
 * @returns {Promise<CommitCell>}
 */
export async function measureCell(context, row, shape, wanted, rounds) {
  const time = context.pick(
    { warmUpMs: 2_000, measureMs: 1_000 },
    { warmUpMs: 50, measureMs: 200 },
  );
  context.log(labelOfShape(shape));
  const cases = [];
  for (const { peer, grouped = false } of wanted) {
    try {
      const source = await sourceOf(context, peer, shape.keys);
      const held = context.fixtures.baseCount;
      const job = { peer, grouped, held, ...shape, ...time };
      cases.push({ id: grouped ? `${peer}, grouped` : peer, peer, source, job });
    } catch (error) {
      context.log(`${peer} is left out: ${error.message}`);
    }
  }
  return { ...shape, cases: await context.rounds(row, cases, rounds) };
}

/** Bare files need no contents. */
async function sourceOf(context, peer, keys) {
  if (!RIVALS.includes(peer) && !peer.startsWith('lodestore')) return undefined;
  const store = peer === 'lodestore-inline' ? 'lodestore' : peer;
  return (await context.fixtures.get(store, keys)).directory;
}

/** @type {(shape: { keys: string, writers: number, batch: number }) => string} */
export function labelOfShape({ keys, writers, batch }) {
  return `${writers} writer${writers === 1 ? '' : 's'}, batches of ${number(batch)}, ${keys} keys`;
}

/** Figures of a cell, by the id of the case. @param {CommitCell} cell */
export function figuresOf({ cases }) {
  const shown = cases.filter(({ samples }) => samples.length > 0);
  const middle = Object.fromEntries(shown.map(({ id, samples }) => [id, medians(samples)]));
  const rates = Object.fromEntries(
    shown.map(({ id, samples }) => [id, samples.map((one) => one.recordsPerSecond)]),
  );
  return { shown, middle, rates };
}

/**
 * Ratios of `ours` to each peer; if a peer has two cases, to the better one.
 * @type {(cell: CommitCell, ours: string) => Record<string, import('./figures.mjs').Spread>}
 */
export function ratiosOf(cell, ours) {
  const { shown, rates } = figuresOf(cell);
  /** @type {Record<string, import('./figures.mjs').Spread>} */
  const ratios = {};
  for (const { id, peer } of shown) {
    const ratio = ratioSpread(rates[ours] ?? [], rates[id], 'more');
    if (!RIVALS.includes(peer) || ratio === undefined) continue;
    if (ratios[peer] === undefined || ratio.median < ratios[peer].median) ratios[peer] = ratio;
  }
  return ratios;
}

/** Table, chart and lines of comparison of a cell. @param {CommitCell} cell */
export function partsOf(cell, row, names) {
  const { shown, middle, rates } = figuresOf(cell);
  const label = ({ id, peer }) => (id === peer ? names[peer] : `${names[peer]}, grouped`);
  const rows = shown.map((one) => {
    const { p50, p99, max, delayP50, delayP99 } = middle[one.id];
    const texts = [p50, p99, max, delayP50, delayP99].map(duration);
    return [label(one), withSpread(spread(rates[one.id]), number), ...texts];
  });
  const bars = shown.map((one) => {
    const value = middle[one.id].recordsPerSecond;
    const ours = one.peer.startsWith('lodestore');
    return { label: label(one), value, text: rate(value), ours };
  });
  const what = labelOfShape(cell);
  return {
    table: { caption: capital(what), head: HEAD, rows },
    chart: {
      name: `${row}-${cell.writers}-${cell.batch}-${cell.keys}`,
      title: `${what}: durable records per second, more is better`,
      bars,
    },
    comparisons: /** @type {const} */ ([
      { what, commits: 'default', ratios: ratiosOf(cell, 'lodestore') },
      { what, commits: 'inline', ratios: ratiosOf(cell, 'lodestore-inline') },
    ]),
  };
}

const HEAD = ['', 'records/s', 'p50', 'p99', 'longest', 'loop delay p50', 'loop delay p99'];

const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

/**
 * The goal of default commits, against every peer that does not block the event loop.
 * @type {(cell: CommitCell, names: Record<string, string>, factor: number) =>
 *   import('./section.mjs').Goal}
 */
export function freeGoal(cell, names, factor) {
  const ratios = ratiosOf(cell, 'lodestore');
  const { peer, ratio } = leastRatio(ratios, FREE_RIVALS);
  const limits = ratiosOf(cell, limitId(cell));
  return withLimit(
    goal(
      `${labelOfShape(cell)}: at least ${factor} x every peer that does not block the event loop`,
      ratio,
      { atLeast: factor },
      (value) => `${times(value)} ${names[peer]}`,
    ),
    leastRatio(limits, FREE_RIVALS).ratio,
    times,
  );
}

/**
 * A goal against better-sqlite3.
 * @type {(cell: CommitCell, ours: 'lodestore' | 'lodestore-inline', factor: number) =>
 *   import('./section.mjs').Goal}
 */
export function blockingGoal(cell, ours, factor) {
  const [rival] = BLOCKING;
  const what = ours === 'lodestore' ? '' : 'inline, ';
  const grouped = cell.writers === 1 ? '' : ', grouped';
  return withLimit(
    goal(
      `${what}${labelOfShape(cell)}: at least ${factor} x better-sqlite3${grouped}`,
      ratiosOf(cell, ours)[rival]?.median,
      { atLeast: factor },
      times,
    ),
    ratiosOf(cell, limitId(cell))[rival]?.median,
    times,
  );
}

const limitId = ({ writers }) => (writers === 1 ? LIMIT : `${LIMIT}, grouped`);
