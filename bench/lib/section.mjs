/**
 * The section of a row in the report.
 *
 * @typedef {object} Goal
 * @property {string} text The goal.
 * @property {string} measured
 * @property {boolean} met
 * @property {string} [limit] What writing and syncing the same bytes reaches, and nothing else.
 *
 * @typedef {object} Bar
 * @property {string} label
 * @property {number} value
 * @property {string} text
 * @property {boolean} [ours]
 *
 * @typedef {object} Chart
 * @property {string} name Of its file.
 * @property {string} title With the unit, and which way is better.
 * @property {Bar[]} bars
 *
 * @typedef {{ caption?: string, head: string[], rows: string[][] }} Table
 *
 * @typedef {object} Comparison One line of the table that the report opens with.
 * @property {string} what
 * @property {'default' | 'inline'} commits How lodestore commits.
 * @property {Record<string, import('./figures.mjs').Spread | undefined>} ratios By peer; above 1
 *   lodestore is ahead.
 *
 * @typedef {object} Section
 * @property {string} text What was measured, and how.
 * @property {Table[]} tables
 * @property {Chart[]} charts
 * @property {Goal[]} goals
 * @property {Comparison[]} [comparisons]
 */

/**
 * A goal of the kind "at least" or "at most"; not met if there is nothing to compare.
 * @param {string} text
 * @param {number | undefined} value
 * @param {{ atLeast?: number, atMost?: number }} bound
 * @param {(value: number) => string} show
 * @returns {Goal}
 */
export function goal(text, value, { atLeast = -Infinity, atMost = Infinity }, show) {
  if (value === undefined || !Number.isFinite(value)) return { text, measured: '–', met: false };
  return { text, measured: show(value), met: value >= atLeast && value <= atMost };
}

/**
 * The same goal, with what the limit reaches of it.
 * @param {Goal} one
 * @param {number} value
 * @param {(value: number) => string} show
 * @returns {Goal}
 */
export function withLimit(one, value, show) {
  return Number.isFinite(value) ? { ...one, limit: show(value) } : one;
}

/**
 * The best of several by `score`, without `undefined` ones.
 * @template T
 * @param {readonly (T | undefined)[]} candidates
 * @param {(candidate: T) => number} score
 * @returns {T | undefined}
 */
export function bestOf(candidates, score) {
  let best;
  for (const candidate of candidates) {
    if (candidate === undefined || !Number.isFinite(score(candidate))) continue;
    if (best === undefined || score(candidate) > score(best)) best = candidate;
  }
  return best;
}

/**
 * The peer that comes nearest, or is furthest ahead, of those in `peers`.
 * @param {Record<string, import('./figures.mjs').Spread | undefined>} ratios
 * @param {readonly string[]} peers
 * @returns {{ peer?: string, ratio?: number }}
 */
export function leastRatio(ratios, peers) {
  const peer = bestOf(peers, (id) => -(ratios[id]?.median ?? Number.NaN));
  return { peer, ratio: ratios[peer]?.median };
}
