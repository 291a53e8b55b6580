import { basename } from 'node:path';
import { shellWord } from '../../base/shell-word.ts';
import { consequenceOf, placeText } from './damage-text.ts';
import { countOf, formatCount } from '../output/number-text.ts';
import type { Opening } from '../../inspection/opening.ts';
import type { Survey } from '../../inspection/survey.ts';

/** Describes line by line what an open of the store would do. */
export function verdictText(survey: Survey): string[] {
  const { opening } = survey;
  switch (survey.outcome) {
    case 'opens':
      return opening === undefined ? [] : [openingSentence(opening), ...remarks(survey, opening)];
    case 'damaged':
      return damageText(survey);
    case 'refused':
      return [
        'Opening would fail, and change nothing:',
        ...survey.refusals.map((refusal) => `  ${refusal.message}`),
        'This is no evidence of lost data. The other files could not be judged.',
      ];
    case 'no store':
      return ['There is no store here. Opening would create a new one.'];
  }
}

function openingSentence(opening: Opening): string {
  const { snapshot, logs, batches, torn, leftovers } = opening;
  const base =
    snapshot === undefined
      ? 'an empty store'
      : `snapshot ${snapshot.number} (${countOf(snapshot.records ?? 0, 'record')})`;
  const clauses = [
    logs.length === 0
      ? `read ${base}`
      : `replay ${countOf(logs.length, 'log')} (${countOf(batches, 'batch', 'batches')}) onto ${base}`,
  ];
  if (torn !== undefined) {
    const place = `${torn.name} offset ${formatCount(torn.offset)}`;
    clauses.push(
      `drop an incomplete last group of ${countOf(torn.bytes, 'byte')} at ${place} (a torn write)`,
    );
  }
  if (leftovers.length > 0) clauses.push(`remove ${countOf(leftovers.length, 'leftover')}`);
  return `Opening would ${enumerate(clauses)}.`;
}

function enumerate(clauses: readonly string[]): string {
  if (clauses.length <= 2) return clauses.join(' and ');
  return `${clauses.slice(0, -1).join(', ')}, and ${clauses.at(-1)}`;
}

function remarks(survey: Survey, opening: Opening): string[] {
  const lines: string[] = [];
  if (opening.snapshot?.format === 'ancestor') {
    lines.push(
      "The snapshot is of the ancestor's format; the first merge rewrites it in lodestore's.",
    );
  }
  if (survey.owner?.hasLease === true && survey.owner.isRunning === true) {
    lines.push('The store is open now. This is what an open would find if its process died.');
  }
  return lines;
}

function damageText(survey: Survey): string[] {
  const { damages, directory } = survey;
  const lines = [
    `Opening would fail, and change nothing: ${countOf(damages.length, 'damaged place')}.`,
  ];
  for (const damage of damages) {
    lines.push(`  ${basename(damage.path)}, ${placeText(damage)}`);
    const consequence = consequenceOf(damage);
    if (consequence !== '') lines.push(`    ${consequence}`);
  }
  lines.push(
    `Next: "lodestore dump --damaged ${shellWord(directory)}" prints the records that verify and what is left out;`,
    `opening with recovery: 'salvage' keeps those, and moves damaged originals to quarantine/.`,
  );
  return lines;
}
