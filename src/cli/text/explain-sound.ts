import { INCOMPLETE_NAME, MARKER_NAME } from '../../format/file-name.ts';
import { shellWord, type ExplainResult } from './explain-result.ts';
import { countOf } from '../output/number-text.ts';
import type { Survey } from '../../inspection/survey.ts';
import { verdictText } from './verdict-text.ts';

/** Explains a directory without damage. */
export function explainSound(survey: Survey): ExplainResult {
  const { directory, owner } = survey;
  const because = verdictText(survey);
  if (isAncestor(survey)) {
    because.push(
      "It is the ancestor's (sled 1.0 alpha). After the first merge the ancestor cannot open it any more: " +
        '"lodestore export --format ancestor" leads back.',
    );
  }
  const verify = `lodestore verify ${shellWord(directory)}`;
  if (owner?.hasLease === true && owner.isRunning === true) {
    const { pid, hostName } = owner.record;
    return {
      directory,
      state: 'locked',
      summary: `It does not open a second time: process ${pid} on host ${hostName} has it open, and is running.`,
      because,
      choices: [],
      next: {
        command: `ps -o pid,user,lstart,args -p ${pid}`,
        why: 'it shows what that process is; when it ends, the store opens at once',
      },
    };
  }
  if (owner?.hasLease === true && owner.isRunning === undefined) {
    because.push(
      `Process ${owner.record.pid} on host ${owner.record.hostName} has left its lease: while it keeps that fresh, ` +
        'opening is refused; a minute after it has died, it opens.',
    );
  }
  return {
    directory,
    state: 'opens',
    summary: 'It opens. All that was read verifies, and nothing is lost.',
    because,
    choices: [],
    next: { command: verify, why: 'nothing has to be done; this reads all of it again' },
  };
}

function isAncestor(survey: Survey): boolean {
  const newest = survey.snapshots.at(-1)?.state;
  if (newest !== undefined) return newest.format === 'ancestor';
  return survey.logs.some((log) => log.scan?.format === 'ancestor');
}

/** Explains a directory without a store. */
export function explainNoStore(survey: Survey): ExplainResult {
  const { directory, listing, others } = survey;
  const had = others.some((other) => other.kind === 'marker' || other.kind === 'lock');
  const because = had
    ? [
        `There is neither a log nor a snapshot, but ${MARKER_NAME} or a lock file: a store was here, or was about ` +
          'to be made. Opening makes a new, empty one; if there was one, its files have been removed.',
      ]
    : ['Opening makes a new, empty store here. If you expect one, this is the wrong directory.'];
  if (listing.foreign.length > 0) {
    because.push(
      `${countOf(listing.foreign.length, 'other name')} are in it, none of them a store's.`,
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

/** Explains a directory that a command did not finish writing. */
export function explainIncomplete(directory: string): ExplainResult {
  return {
    directory,
    state: 'incomplete',
    summary: 'It does not open: it is incomplete.',
    because: [
      `${INCOMPLETE_NAME} stands in it: a backup, restore, salvage or export is still writing it, or was ` +
        'interrupted. Some of its files may be missing, so that it would show fewer records than there were.',
      'Nothing is lost by it: what it was made from is as it was.',
    ],
    choices: [],
    next: {
      command: `ls -la ${shellWord(directory)}`,
      why: 'if its files still grow, wait; if not, run again what was writing it, into another directory',
    },
  };
}
