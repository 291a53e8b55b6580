import { shellWord } from '../../base/shell-word.ts';
import type { Obstacle } from '../../inspection/obstacles.ts';
import type { Survey } from '../../inspection/survey.ts';
import { explainSound } from './explain-sound.ts';
import type { Choice, ExplainResult } from './explain-result.ts';

/** What was found besides the contents of the files. */
export interface Surroundings {
  readonly obstacles: readonly Obstacle[];
  /** Users that own the files. */
  readonly owners: readonly number[];
  /** The user that runs the command. */
  readonly userId: number | undefined;
}

/** Explains a directory without damage, including what would still prevent an open. */
export function explainOpening(survey: Survey, surroundings: Surroundings): ExplainResult {
  const sound = explainSound(survey);
  const { obstacles, owners } = surroundings;
  if (sound.state === 'locked') return sound;
  if (obstacles.length > 0) return explainBlocked(survey, sound, surroundings);
  return owners.length > 1 ? withOwners(survey, sound, surroundings) : sound;
}

function explainBlocked(
  { directory }: Survey,
  sound: ExplainResult,
  { obstacles, owners, userId }: Surroundings,
): ExplainResult {
  const because = obstacles.map(({ path, reason }) => `${path}: ${reason}.`);
  const isAnyRight = obstacles.some(({ code }) => code === 'EACCES' || code === 'EPERM');
  if (isAnyRight && userId !== undefined) because.push(`Checked as user ${userId}.`);
  if (owners.length > 1) because.push(mixed(owners));
  const [first] = obstacles;
  return {
    directory,
    state: 'blocked',
    summary:
      'It does not open for writing. Everything that was read verifies, and nothing is lost.',
    because: [...because, 'Otherwise:', ...sound.because],
    choices: [readOnlyChoice()],
    next: {
      command: `ls -ld ${[directory, ...obstacles.map(({ path }) => path)].map(shellWord).join(' ')}`,
      why: remedyOf(first!),
    },
  };
}

function readOnlyChoice(): Choice {
  return {
    command: 'MetadataStore.open(directory, { readOnly: true })',
    effect: 'opens it for reading, and changes nothing',
    loses: [],
  };
}

function remedyOf({ code }: Obstacle): string {
  switch (code) {
    case undefined:
      return 'it shows what is in the way; this file does not belong to lodestore: move it elsewhere';
    case 'EROFS':
      return 'the file system is mounted read-only, maybe by the kernel after an error: see dmesg';
    case 'EACCES':
    case 'EPERM':
      return 'it shows the owners: run as that user, or give all files to the user that runs the store (chown -R)';
    default:
      return 'it shows what is there; run explain again when the system has free resources';
  }
}

function withOwners(
  { directory }: Survey,
  sound: ExplainResult,
  { owners, userId }: Surroundings,
): ExplainResult {
  return {
    ...sound,
    summary: `It opens for user ${userId}; its files have several owners. Everything that was read verifies, and nothing is lost.`,
    because: [...sound.because, mixed(owners)],
    next: {
      command: `ls -lan ${shellWord(directory)}`,
      why: 'it shows the owner of each file; chown -R gives all of them to the user that runs the store',
    },
  };
}

function mixed(owners: readonly number[]): string {
  return (
    `Its files belong to the users ${owners.join(', ')}: a user who cannot write all of them cannot open it, ` +
    'and one user may not be able to remove files of another.'
  );
}
