import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { comparisonLines } from './comparison-table.mjs';
import { svgChart } from './svg-chart.mjs';
import { tableText } from './table-text.mjs';

/**
 * Writes RESULTS.md and its charts; removes charts that no row draws any more.
 * @param {string} directory Where they go; charts into `results/charts` below it.
 * @param {{ facts: Record<string, string>, quick: boolean }} head
 * @param {readonly { place: number, title: string, measured: string, section:
 *   import('./section.mjs').Section }[]} rows In order.
 * @param {Record<string, string>} names Of peers.
 */
export async function writeReport(directory, head, rows, names) {
  const charts = join(directory, 'results', 'charts');
  rmSync(charts, { recursive: true, force: true });
  mkdirSync(charts, { recursive: true });
  const parts = [introduction(head, rows, names)];
  for (const { place, title, measured: when, section } of rows) {
    for (const chart of section.charts) {
      writeFileSync(join(charts, `${chart.name}.svg`), svgChart(chart));
    }
    parts.push(sectionText(place, title, when, section));
  }
  const path = join(directory, 'RESULTS.md');
  writeFileSync(path, await formatted(parts.join('\n')));
  return path;
}

/** Formatted for the repository's check, if prettier is installed. */
async function formatted(text) {
  try {
    const prettier = await import('prettier');
    return await prettier.format(text, { parser: 'markdown', printWidth: 100 });
  } catch {
    return text;
  }
}

const METHOD = `Made by \`npm run bench\`. Every measurement runs in a separate process. Short measurements are repeated in interleaved
rounds: tables show the median and, in brackets, the minimum and maximum. Each store has settings with which a resolved
commit is on stable storage; row 0 shows the system calls that prove it. A record has a key of 64 bits, a value of 64 bits
(a location: volume and ascending offset) and 16 pseudo-random bytes. Keys are ascending ids with small gaps or 64 random
bits; each row says which. Writes are measured on stores with a million records: one store is loaded per peer and kind of
keys, and each measurement gets a copy that is synced before the measurement. Rates of commits are measured for one
second, after two seconds of the same commits, in which V8 compiles the code. The limit is the result of
"overwrite, O_DSYNC" for a goal: a loop that only packs the same records, writes them over reserved space, and syncs.
If it misses a goal too, no store that writes this way can reach it on this machine. The loop delay is the delay of the
event loop beyond the period of the 1 ms timer that measures it; it includes the making of batches.
`;

const GOALS = `All goals are listed, met or not. Ratios are medians over the rounds. For goals that are not met, the limits and the
attempts are in [BOUNDS.md](BOUNDS.md).
`;

function introduction({ facts, quick }, rows, names) {
  const goals = rows.flatMap(({ place, section }) =>
    section.goals.map((goal) => ({ place, goal })),
  );
  const met = goals.filter(({ goal }) => goal.met).length;
  return [
    '# Results',
    '',
    ...(quick
      ? ['**A quick run: it only tests that everything works. Its figures are meaningless.**', '']
      : []),
    ...comparisonLines(rows, names),
    '## How it is measured',
    '',
    METHOD,
    tableText({ head: ['', ''], rows: Object.entries(facts) }),
    `## Goals: ${met} of ${goals.length} met`,
    '',
    GOALS,
    tableText({
      head: ['row', 'goal', 'measured', 'limit', ''],
      rows: goals.map(({ place, goal }) => [
        String(place),
        goal.text,
        goal.measured,
        goal.limit ?? '',
        verdict(goal),
      ]),
    }),
  ].join('\n');
}

/** @type {(goal: import('./section.mjs').Goal) => string} */
function verdict({ met }) {
  return met ? 'met' : '**not met**';
}

/** @type {(goal: import('./section.mjs').Goal) => string} */
function measured({ measured: value, limit }) {
  return limit === undefined ? value : `${value} (the limit: ${limit})`;
}

function sectionText(place, title, when, { text, tables, charts, goals }) {
  const lines = [`## ${place}. ${title}`, '', text, '', when, ''];
  for (const one of tables) {
    if (one.caption !== undefined) lines.push(`**${one.caption}**`, '');
    lines.push(tableText(one));
  }
  for (const { name, title: alt } of charts)
    lines.push(`![${alt}](results/charts/${name}.svg)`, '');
  for (const goal of goals) lines.push(`- ${goal.text}: ${measured(goal)}, ${verdict(goal)}`);
  if (goals.length > 0) lines.push('');
  return lines.join('\n');
}
