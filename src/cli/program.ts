import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { loadNativeParts } from '../format/native-parts.ts';
import { COMMANDS } from './commands.ts';
import type { CommandContext } from './output/command-context.ts';
import { exitCodeHelp } from './output/exit-code.ts';
import type { CliCommand } from './output/cli-command.ts';
import { parsePath } from './output/path-argument.ts';

/** Creates the command line. `finish` receives the exit code of the command that ran. */
export function makeProgram(context: CommandContext, finish: (code: number) => void): Command {
  const program = new Command('lodestore')
    .description(
      'Inspects, repairs and converts the directories of lodestore. Only merge, import and ' +
        'replicate promote, checkpoint and repair change a store.',
    )
    .version(readVersion())
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.out.write(text),
      writeErr: (text) => context.err.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'lodestore: ')),
    })
    .showHelpAfterError('Run it with --help to see its usage.')
    .addHelpText('after', `\n${exitCodeHelp()}`);
  for (const command of COMMANDS) addCommand(program, command, context, finish);
  return program;
}

/** The package's version. package.json is two folders above this file, in `src` and in `dist`. */
function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function addCommand(
  program: Command,
  entry: CliCommand,
  context: CommandContext,
  finish: (code: number) => void,
): void {
  // `replicate status`: a command of a group.
  const [own = '', group] = entry.name.split(' ').toReversed();
  const command = groupOf(program, group).command(own).description(entry.summary);
  for (const [name, description] of Object.entries(entry.arguments)) {
    command.argument(`<${name}>`, description, parsePath);
  }
  for (const option of entry.options) command.addOption(option);
  command
    .addHelpText('after', `\nExample:\n  lodestore ${entry.example}\n`)
    .addHelpText('after', exitCodeHelp(entry.exitCodes))
    // Commander appends the command object after arguments and options.
    .action(async (...given: unknown[]) => {
      // A missing package must not look like damage.
      if (Object.keys(entry.arguments).length > 0) loadNativeParts();
      finish(await entry.run(context, ...(given.slice(0, -1) as never[])));
    });
}

function groupOf(program: Command, name: string | undefined): Command {
  if (name === undefined) return program;
  const found = program.commands.find((one) => one.name() === name);
  if (found !== undefined) return found;
  const names = COMMANDS.flatMap((one) => (one.name.startsWith(`${name} `) ? [one.name] : []));
  return program.command(name).description(`A group: ${names.join(', ')}.`);
}
