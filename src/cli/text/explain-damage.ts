import { basename } from 'node:path';
import { shellWord } from '../../base/shell-word.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import type { Loss } from '../../store/recovery/recovery-report.ts';
import { concernsRecords } from '../../store/salvage/salvage-loss.ts';
import { consequenceOf, placeText } from './damage-text.ts';
import { besideOf, type Choice, type ExplainResult } from './explain-result.ts';
import { lossText } from './loss-text.ts';
import { countOf } from '../output/number-text.ts';
import type { Owner } from '../../inspection/owner.ts';
import type { Survey } from '../../inspection/survey.ts';
import { findCopies } from '../../inspection/store-copies.ts';
import { readBeside } from '../../inspection/verifiable-records.ts';
import { explainVanished } from './explain-vanished.ts';

/** Explains damage: each place, what salvage would keep, and what each choice would lose. */
export async function explainDamaged(
  fs: FileSystem,
  survey: Survey,
  signal: AbortSignal,
): Promise<ExplainResult> {
  const { directory, damages, owner } = survey;
  const isNamed = survey.snapshots.length + survey.logs.length > 0;
  // Copies under foreign names may have everything.
  if (!isNamed && (await findCopies(fs, directory)).length === 0) return explainVanished(survey);
  const { columns, losses, moves } = await readBeside(fs, directory, signal);
  const records = columns.reduce((sum, chunk) => sum + chunk.recordCount, 0);
  const because = damages.map((damage) => {
    const what = consequenceOf(damage);
    const place = `${basename(damage.path)}, ${placeText(damage)}.`;
    return what === '' ? place : `${place} ${what.replace(/^affected/, 'Affected, at most')}.`;
  });
  for (const { from, to, reason } of moves) {
    because.push(
      `${from}: ${reason}. It ${to === undefined ? 'does not belong there' : `should be ${to}`}.`,
    );
  }
  because.push('Opening changes nothing in a damaged directory: every byte is as it was found.');
  const isRunning = owner?.hasLease === true && owner.isRunning === true;
  if (isRunning) because.unshift(...runningText(owner));
  const target = besideOf(directory, 'salvaged');
  const command = `lodestore salvage ${shellWord(directory)} ${shellWord(target)}`;
  const choices = choicesOf(directory, command, records, losses, moves.length > 0);
  return {
    directory,
    state: 'damaged',
    summary: `It does not open: ${countOf(damages.length, 'place')} in its files ${damages.length === 1 ? 'is' : 'are'} damaged.`,
    because,
    choices,
    next: isRunning
      ? {
          command: `ps -o pid,user,lstart,args -p ${owner.record.pid}`,
          why: 'it shows which process that is; copy its records before it ends, then run explain again',
        }
      : {
          command,
          why: 'it writes a new directory, and does not change this one, so every other choice stays possible',
        },
  };
}

/** The memory of the running process may have the only copy of the damaged records. */
function runningText({ record }: Owner): string[] {
  const who = `Process ${record.pid} on host ${record.hostName}`;
  return [
    `${who} has it open and has every record in memory, which may be the only good copy. Do not close, stop or ` +
      'restart it, and do not move its directory, before its records are copied.',
    'In that process, copy them to a new store with a loop over entries() (guide: when it does not open). A backup ' +
      'is refused once a merge has found the damage. Close the process only after that.',
  ];
}

function choicesOf(
  directory: string,
  command: string,
  records: number,
  losses: readonly Loss[],
  isMoved: boolean,
): Choice[] {
  const lost = losses.filter(concernsRecords).map(lossText);
  return [
    {
      command,
      effect: `writes a new store with everything that verifies: ${countOf(records, 'record')}`,
      loses: lost.length > 0 ? lost : [noLoss(losses, isMoved)],
    },
    ...(isMoved ? [inPlace(lost)] : []),
    {
      command: `lodestore restore BACKUP ${shellWord(besideOf(directory, 'restored'))}`,
      effect: 'restores the state of your latest backup',
      loses: ['everything written since'],
    },
    {
      command: `lodestore dump --damaged ${shellWord(directory)}`,
      effect: 'prints the records that verify, and changes nothing',
      loses: [],
    },
  ];
}

function noLoss(losses: readonly Loss[], isMoved: boolean): string {
  return isMoved && losses.length === 0
    ? 'no record: each file is identified by its header'
    : 'no record: there was none in the damaged bytes';
}

/** File names can be restored without writing a second store. */
function inPlace(lost: readonly string[]): Choice {
  return {
    command: "MetadataStore.open(directory, { recovery: 'salvage' })",
    effect: 'renames the files in place, and moves files that do not belong there to quarantine/',
    loses: lost.length > 0 ? lost : ['no record'],
  };
}
