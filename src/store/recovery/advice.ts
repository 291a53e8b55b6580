import { shellWord } from '../../base/shell-word.ts';

/** The advice in errors about damage of a directory. */
export function damageHint(directory: string): string {
  return (
    `Nothing has been changed. "lodestore explain ${shellWord(directory)}" shows the choices, and what each would lose; ` +
    `opening with recovery: 'salvage' keeps what verifies, moves damaged originals to quarantine/ and ` +
    `reports the loss`
  );
}
