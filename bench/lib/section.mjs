/**
 * What a row says in the report.
 *
 * @typedef {object} Goal
 * @property {string} text What is wanted.
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
 * @typedef {object} Section
 * @property {string} text What was measured, and how.
 * @property {Table[]} tables
 * @property {Chart[]} charts
 * @property {Goal[]} goals
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

/** Peers that hold up the event loop while they sync. */
export const BLOCKING = ['better-sqlite3'];

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
