import { BLOCKING, RIVALS } from '../peers/index.mjs';
import { number, withSpread } from './number-text.mjs';
import { tableText } from './table-text.mjs';

const DEFAULT_TEXT = `Speed of lodestore relative to each peer, with every option at its default: above 1 lodestore is faster, below 1 the peer is
(of bytes, how many times as many the peer needs). The median of interleaved rounds, and in brackets the smallest and the
largest. All stores sync before they acknowledge. better-sqlite3 blocks the event loop meanwhile; the others do not.
`;

const INLINE_TEXT =
  "The same with `commits: 'inline'`, which blocks the event loop as better-sqlite3 does: for imports and batch jobs.\n";

/**
 * The overview table: lodestore against each peer, row by row.
 * @param {readonly { place: number, section: import('./section.mjs').Section }[]} rows
 * @param {Record<string, string>} names
 * @returns {string[]}
 */
export function comparisonLines(rows, names) {
  const lines = rows.flatMap(({ place, section }) =>
    (section.comparisons ?? []).map((comparison) => ({ place, ...comparison })),
  );
  const of = (wanted) => lines.filter(({ commits }) => commits === wanted);
  return [
    '## lodestore against each peer',
    '',
    DEFAULT_TEXT,
    `${verdicts(of('default'), RIVALS)}\n`,
    table(of('default'), names),
    INLINE_TEXT,
    `${verdicts(of('inline'), BLOCKING)}\n`,
    table(of('inline'), names),
  ];
}

function table(lines, names) {
  const head = ['row', '', ...RIVALS.map((peer) => names[peer])];
  const rows = lines.map(({ place, what, ratios }) => [
    String(place),
    what,
    ...RIVALS.map((peer) => (ratios[peer] === undefined ? '' : withSpread(ratios[peer], factor))),
  ]);
  return tableText({ head, rows }, 2);
}

/** @type {(value: number) => string} */
const factor = (value) => number(value, value >= 100 ? 0 : value >= 10 ? 1 : value >= 0.1 ? 2 : 3);

/** Summarises the cells against `peers`. */
function verdicts(lines, peers) {
  const rivals = RIVALS.filter((peer) => peers.includes(peer));
  const cells = lines.flatMap(({ ratios }) => rivals.map((peer) => ratios[peer])).filter(Boolean);
  const ahead = cells.filter(({ min }) => min > 1).length;
  const behind = cells.filter(({ max }) => max < 1).length;
  const against = rivals.length === RIVALS.length ? '' : ` against ${rivals.join(', ')}`;
  return (
    `Of ${cells.length} comparisons${against}, lodestore is ahead in every round in ${ahead}, behind in every round in ${behind}, ` +
    `and sometimes the one, sometimes the other in ${cells.length - ahead - behind}.`
  );
}
