// @ts-check
import { count } from './progress.mjs';

/** @import { DemoResult, Kill } from './demo.mjs' */
/** @import { SourceTree } from './source-tree.mjs' */

const MAX_EXAMPLES = 10;

/**
 * The lines of the report. Everything in them was counted or measured in this run.
 * @param {SourceTree} tree
 * @param {DemoResult} result
 * @param {number} seconds
 */
export function reportLines(tree, result, seconds) {
  const { storing, comparison, kills, problems } = result;
  const leftOut = [...tree.unreadable, ...storing.leftOut];
  return [
    '',
    row('objects stored', storing.acknowledged.size),
    row('bytes stored', storing.acknowledgedBytes),
    row('objects equal to their source', comparison.equal),
    row('bytes compared', comparison.equalBytes),
    row('objects in the node', result.storedRecords),
    row('versions overwritten', storing.overwritten),
    row('volumes compacted, last run', result.retiredVolumes),
    row('kills survived', kills.length),
    row('requests cut off and repeated', storing.interrupted),
    row('seconds', seconds.toFixed(1)),
    '',
    ...killTable(kills),
    ...examples('files that could not be stored', leftOut),
    ...examples('files that changed meanwhile, not compared', comparison.changed),
    ...examples('problems', problems),
    verdict(result),
  ];
}

/** @param {DemoResult} result */
function verdict({ comparison, problems }) {
  if (problems.length > 0) return `FAILED: problems found: ${count(problems.length)}`;
  return `Nothing lost: ${count(comparison.equal)} objects are equal to their sources, byte for byte.`;
}

/** @param {readonly Kill[]} kills */
function killTable(kills) {
  if (kills.length === 0) return [];
  const head = ['kill', 'acknowledged', 'in flight', 'recovered', 'unanswered', 'restart ms'];
  const rows = kills.map((kill, index) => [
    count(index + 1),
    count(kill.acknowledged),
    count(kill.inFlight),
    count(kill.records),
    count(kill.unacknowledged),
    kill.restartMs.toFixed(1),
  ]);
  const lines = [head, ...rows].map((cells) => cells.map((cell) => cell.padStart(12)).join(' '));
  return [
    ...lines,
    'recovered = acknowledged + unanswered: objects that were durable, but the kill cut off their answer',
    '',
  ];
}

/**
 * @param {string} title
 * @param {readonly string[]} lines
 */
function examples(title, lines) {
  if (lines.length === 0) return [];
  const more = lines.length - MAX_EXAMPLES;
  return [
    `${title}: ${count(lines.length)}`,
    ...lines.slice(0, MAX_EXAMPLES).map((line) => `  ${line}`),
    ...(more > 0 ? [`  and ${count(more)} more`] : []),
    '',
  ];
}

/**
 * @param {string} label
 * @param {number | string} value
 */
function row(label, value) {
  return `${label.padEnd(32)}${(typeof value === 'number' ? count(value) : value).padStart(14)}`;
}
