import { dirname } from 'node:path';
import { StoreError, systemCode } from '../../base/errors.ts';
import { shellWord } from '../../base/shell-word.ts';
import { consequenceOf } from './damage-text.ts';
import { besideOf, type Choice, type ExplainResult } from './explain-result.ts';
import type { Survey } from '../../inspection/survey.ts';
import { groupDigits } from '../output/number-text.ts';

const NO_RIGHT: readonly string[] = ['EACCES', 'EPERM'];
const PASSING: readonly string[] = ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EBUSY', 'ESTALE'];

/** Explains files that could not be read, or have a later format version. */
export function explainRefused(survey: Survey): ExplainResult {
  const { directory, refusals, damages } = survey;
  const newer = refusals.find((refusal) => refusal.code === 'LODESTORE_UNSUPPORTED_FORMAT');
  const because = refusals.map((refusal) => `${refusal.message}.`);
  for (const damage of damages) {
    const what = consequenceOf(damage);
    because.push(
      `${damage.path} is also damaged: ${groupDigits(damage.reason)}.${what && ` (${what})`}`,
    );
  }
  if (newer !== undefined) {
    return {
      directory,
      state: 'newer format',
      summary: 'It does not open with this version of lodestore. Nothing is lost.',
      because: [...because, 'A later version of lodestore wrote it.'],
      choices: [],
      next: {
        command: 'npm install lodestore@latest',
        why: 'the version that wrote it, or a later one, opens it',
      },
    };
  }
  const first = refusals[0]!;
  return unreadable(directory, first.path, first.systemCode ?? 'EIO', because);
}

/** Explains a directory that cannot be listed or accessed. Undefined for other errors. */
export function explainError(directory: string, error: unknown): ExplainResult | undefined {
  if (error instanceof StoreError && error.code === 'LODESTORE_NOT_FOUND') {
    return missing(directory, 'there is no such directory', `There is nothing at ${directory}.`);
  }
  if (error instanceof StoreError && error.code === 'LODESTORE_NOT_A_DIRECTORY') {
    return missing(
      directory,
      'it is a file',
      `${directory} is a file, but a store is a directory.`,
    );
  }
  const cause = error instanceof StoreError ? error.cause : error;
  const code = systemCode(cause);
  if (code === undefined) return undefined;
  const { path } = cause as { path?: unknown };
  const where = typeof path === 'string' ? path : directory;
  return unreadable(directory, where, code, [`${where} could not be read: ${code}.`]);
}

function missing(directory: string, reason: string, because: string): ExplainResult {
  return {
    directory,
    state: 'missing',
    summary: `It does not open: ${reason}.`,
    because: [
      because,
      'Opening a store at a path without one creates a new, empty one: check the path, and that its ' +
        'volume is mounted.',
    ],
    choices: [],
    next: {
      command: `ls -ld ${shellWord(dirname(directory))}`,
      why: 'it shows whether the parent directory exists',
    },
  };
}

function unreadable(
  directory: string,
  path: string,
  code: string,
  because: readonly string[],
): ExplainResult {
  const common = {
    directory,
    state: 'unreadable' as const,
    summary: 'It does not open, because it cannot be read. This is no evidence of lost data.',
  };
  if (NO_RIGHT.includes(code)) {
    return {
      ...common,
      because: [...because, 'This user has no permission to read it.'],
      choices: [],
      next: {
        command: `ls -ld ${shellWord(directory)} ${shellWord(path)}`,
        why: 'it shows the owners: run as that user, or give this user the permission',
      },
    };
  }
  if (PASSING.includes(code)) {
    return {
      ...common,
      because: [...because, 'The system lacked a resource; this is temporary.'],
      choices: [],
      next: {
        command: `lodestore explain ${shellWord(directory)}`,
        why: 'run it again when the machine is less busy',
      },
    };
  }
  if (code === 'ESPIPE') {
    return {
      ...common,
      because,
      choices: [],
      next: {
        command: `ls -ld ${shellWord(path)}`,
        why: 'it shows what is in the way; it does not belong to lodestore: move it elsewhere',
      },
    };
  }
  return {
    ...common,
    because: [...because, 'The device or its file system returns an error instead of the bytes.'],
    choices: choicesWithout(directory, path),
    next: {
      command: 'dmesg | tail -n 50',
      why: 'it shows which device fails; read a failing device as little as possible',
    },
  };
}

function choicesWithout(directory: string, path: string): Choice[] {
  const target = besideOf(directory, 'salvaged');
  return [
    {
      command: `cp -a ${shellWord(directory)} /another/disk/`,
      effect: 'copies what can be read; it may succeed where an earlier read failed',
      loses: [],
    },
    {
      command: `lodestore salvage --skip-unreadable ${shellWord(directory)} ${shellWord(target)}`,
      effect: 'writes a new store with what can be read',
      loses: [`the content of ${path}; the command reports it exactly`],
    },
    {
      command: 'lodestore restore BACKUP /another/disk/store',
      effect: 'restores the state of your latest backup',
      loses: ['everything written since'],
    },
  ];
}
