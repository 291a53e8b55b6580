import { shellWord } from '../../base/shell-word.ts';
import { INCOMPLETE_NAME, MARKER_NAME } from '../../format/file-name.ts';
import { besideOf, type ExplainResult } from './explain-result.ts';
import { countOf } from '../output/number-text.ts';
import type { Survey } from '../../inspection/survey.ts';
import { verdictText } from './verdict-text.ts';

/** Explains a directory without damage. */
export function explainSound(survey: Survey): ExplainResult {
  const { directory, owner } = survey;
  const because = verdictText(survey);
  if (isAncestor(survey)) {
    because.push(
      'It is a store of the ancestor (sled 1.0 alpha). After the first merge the ancestor cannot open it any more: ' +
        '"lodestore export --format ancestor" converts it back.',
    );
  }
  const verify = `lodestore verify ${shellWord(directory)}`;
  if (owner?.hasLease === true && owner.isRunning === true) {
    const { pid, hostName } = owner.record;
    return {
      directory,
      state: 'locked',
      summary: `It does not open a second time: the running process ${pid} on host ${hostName} has it open.`,
      because,
      choices: [],
      next: {
        command: `ps -o pid,user,lstart,args -p ${pid}`,
        why: 'it shows which process that is; when it ends, the store opens at once',
      },
    };
  }
  if (owner?.hasLease === true && owner.isRunning === undefined) {
    because.push(
      `Process ${owner.record.pid} on host ${owner.record.hostName} holds a lease: while it refreshes the lease, ` +
        'opening is refused; the store opens a minute after the process has died.',
    );
  }
  return {
    directory,
    state: 'opens',
    summary: 'It opens. Everything that was read verifies, and nothing is lost.',
    because,
    choices: [],
    next: { command: verify, why: 'no action is needed; this reads everything again' },
  };
}

function isAncestor(survey: Survey): boolean {
  const newest = survey.snapshots.at(-1)?.state;
  if (newest !== undefined) return newest.format === 'ancestor';
  return survey.logs.some((log) => log.scan?.format === 'ancestor');
}

/** Explains a directory without a store. `copies`: files of stores under foreign names. */
export function explainNoStore(survey: Survey, copies: readonly string[]): ExplainResult {
  if (copies.length > 0) return explainCopies(survey, copies);
  const { directory, listing, others } = survey;
  const had = others.some((other) => other.kind === 'marker' || other.kind === 'lock');
  const because = had
    ? [
        `There is ${MARKER_NAME} or a lock file, but no log and no snapshot: a store was here, or its creation ` +
          'was interrupted. Opening creates a new, empty store. If there was a store, its files have been removed.',
      ]
    : [
        'Opening creates a new, empty store here. If you expect a store, this is the wrong directory.',
      ];
  if (listing.foreign.length > 0) {
    because.push(
      `${countOf(listing.foreign.length, 'other name')} are in it, and none belongs to a store.`,
    );
  }
  return {
    directory,
    state: 'no store',
    summary: 'There is no store here.',
    because,
    choices: [],
    next: {
      command: `ls -la ${shellWord(directory)}`,
      why: 'it shows what is there instead, and since when',
    },
  };
}

function explainCopies({ directory }: Survey, copies: readonly string[]): ExplainResult {
  const names = copies.slice(0, 5).join(', ') + (copies.length > 5 ? ', …' : '');
  const target = besideOf(directory, 'salvaged');
  return {
    directory,
    state: 'no store',
    summary: 'There is no store here, but there are files of one under other names.',
    because: [
      `By their headers, these are logs or snapshots: ${names}.`,
      'Opening creates a new, empty store beside them, because no name is that of a log or a snapshot.',
    ],
    choices: [],
    next: {
      command: `lodestore salvage ${shellWord(directory)} ${shellWord(target)}`,
      why: 'it reads them by their headers, writes a new directory, and does not change this one',
    },
  };
}

/** Explains a directory that a command did not finish writing. */
export function explainIncomplete(directory: string): ExplainResult {
  return {
    directory,
    state: 'incomplete',
    summary: 'It does not open: it is incomplete.',
    because: [
      `${INCOMPLETE_NAME} is in it: a backup, restore, salvage or export is still writing it, or was ` +
        'interrupted. Some of its files may be missing, so it could show fewer records than its source.',
      'Nothing is lost: the source is unchanged.',
    ],
    choices: [],
    next: {
      command: `ls -la ${shellWord(directory)}`,
      why: 'if its files still grow, wait; otherwise run the interrupted command again with another target',
    },
  };
}
