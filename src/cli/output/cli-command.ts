import type { Option } from 'commander';
import type { CommandContext } from './command-context.ts';

/** One command. The parser, the help texts and the list in docs/CLI.md are generated from it. */
export interface CliCommand {
  readonly name: string;
  readonly summary: string;
  /** A command line without the name of the program. */
  readonly example: string;
  /** Names and meanings of the arguments, in order. All are required. */
  readonly arguments: Readonly<Record<string, string>>;
  readonly options: readonly Option[];
  /** Possible exit codes of the command. */
  readonly exitCodes: readonly number[];
  /** Receives the arguments in order, then the parsed options. Resolves to the exit code. */
  readonly run: (context: CommandContext, ...given: never[]) => Promise<number>;
}
