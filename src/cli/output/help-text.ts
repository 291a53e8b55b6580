import { EXIT_CODE_HELP } from './exit-code.ts';

export const DIRECTORY_HELP = 'directory of the store; another process may have it open';
export const CLOSED_DIRECTORY_HELP = 'directory of the store; nobody else may have it open';
export const JSON_HELP = 'print one JSON object';

/** What stands below the options of every command. */
export function exampleText(line: string): string {
  return `\nExample:\n  ${line}\n${EXIT_CODE_HELP}`;
}
