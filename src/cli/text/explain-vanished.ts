import { join } from 'node:path';
import { shellWord } from '../../base/shell-word.ts';
import { LOCK_NAME } from '../../format/file-name.ts';
import type { Survey } from '../../inspection/survey.ts';
import { groupDigits } from '../output/number-text.ts';
import { besideOf, type ExplainResult } from './explain-result.ts';

/** Explains a directory whose lock file claims a store, but which has none of its files. */
export function explainVanished({ directory, damages }: Survey): ExplainResult {
  const listing = `ls -la ${shellWord(directory)}`;
  return {
    directory,
    state: 'damaged',
    summary: 'It does not open: a store was here, and its files are missing.',
    because: [
      ...damages.map(({ reason }) => `${groupDigits(reason)}.`),
      'Another file system may be missing here, or the files were moved or removed. Opening changes nothing: ' +
        'it does not create a new, empty store where one was.',
    ],
    choices: [
      {
        command: `lodestore restore BACKUP ${shellWord(besideOf(directory, 'restored'))}`,
        effect: 'restores the state of your latest backup',
        loses: ['everything written since'],
      },
      {
        command: `rm ${shellWord(join(directory, LOCK_NAME))}`,
        effect: 'removes the record of the old store: opening then creates a new, empty one',
        loses: ['everything that was here, unless its files are found'],
      },
    ],
    next: {
      command: listing,
      why: 'it shows what is there instead, and since when',
    },
  };
}
