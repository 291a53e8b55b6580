import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { parseKey, parseLimit, parseSequence } from './arguments.ts';
import type { CommandContext } from './output/command-context.ts';
import { dump, type DumpOptions } from './dump.ts';
import { EXIT_CODE_HELP } from './output/exit-code.ts';
import { hash, type HashOptions } from './hash.ts';
import { inspect, type InspectOptions } from './inspect.ts';
import { tail, type TailOptions } from './tail.ts';
import { addTools } from './tool-commands.ts';
import { verify, type VerifyOptions } from './verify.ts';

const DIRECTORY_HELP = 'directory of the store; another process may have it open';

/** The command line. `finish` is given the exit code of the command that ran. */
export function makeProgram(context: CommandContext, finish: (code: number) => void): Command {
  const program = new Command('lodestore')
    .description(
      'Looks into the directories of lodestore, and mends and converts them. No command changes a store ' +
        'unless its name says so.',
    )
    .version(readVersion())
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.out.write(text),
      writeErr: (text) => context.err.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'lodestore: ')),
    })
    .showHelpAfterError('Run it with --help to see how it is used.')
    .addHelpText('after', EXIT_CODE_HELP);
  addInspect(program, context, finish);
  addVerify(program, context, finish);
  addDump(program, context, finish);
  addHash(program, context, finish);
  addTail(program, context, finish);
  addTools(program, context, finish);
  return program;
}

/** The package's own version; its file lies two folders up from here, in `src` as in `dist`. */
function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function addInspect(
  program: Command,
  context: CommandContext,
  finish: (code: number) => void,
): void {
  program
    .command('inspect')
    .description('Shows files, frames and sequence numbers, and what opening would do.')
    .argument('<directory>', DIRECTORY_HELP)
    .option('--json', 'print one JSON object')
    .option('--frames', 'list every frame')
    .addHelpText('after', example('lodestore inspect --frames /srv/objects/meta'))
    .action(async (directory: string, options: InspectOptions) => {
      finish(await inspect(context, directory, options));
    });
}

function addVerify(
  program: Command,
  context: CommandContext,
  finish: (code: number) => void,
): void {
  program
    .command('verify')
    .description('Reads everything and says whether it is what was written.')
    .argument('<directory>', DIRECTORY_HELP)
    .option('--json', 'print one JSON object')
    .addHelpText('after', example('lodestore verify /srv/objects/meta && echo sound'))
    .action(async (directory: string, options: VerifyOptions) => {
      finish(await verify(context, directory, options));
    });
}

function addDump(program: Command, context: CommandContext, finish: (code: number) => void): void {
  program
    .command('dump')
    .description('Prints the records, one a line: key, value, and the length of the data.')
    .argument('<directory>', DIRECTORY_HELP)
    .option('--data', 'print the data too, in hexadecimal')
    .option('--json', 'print one JSON object a line; keys and values are strings')
    .option('--gte <key>', 'from this key on', parseKey)
    .option('--lte <key>', 'up to this key', parseKey)
    .option('--limit <count>', 'at most so many records', parseLimit)
    .option('--reverse', 'from the greatest key down')
    .option('--damaged', 'of a damaged store, print what verifies')
    .addHelpText('after', example('lodestore dump --gte 1000 --limit 20 --data /srv/objects/meta'))
    .action(async (directory: string, options: DumpOptions) => {
      finish(await dump(context, directory, options));
    });
}

function addHash(program: Command, context: CommandContext, finish: (code: number) => void): void {
  program
    .command('hash')
    .description('Prints a hash of all records, whatever led to them.')
    .argument('<directory>', DIRECTORY_HELP)
    .option('--json', 'print one JSON object')
    .addHelpText('after', example('lodestore hash /srv/objects/meta'))
    .action(async (directory: string, options: HashOptions) => {
      finish(await hash(context, directory, options));
    });
}

function addTail(program: Command, context: CommandContext, finish: (code: number) => void): void {
  program
    .command('tail')
    .description('Prints the committed batches that the logs still hold, one update a line.')
    .argument('<directory>', DIRECTORY_HELP)
    .option('--after <sequence>', 'batches behind this one; 0: from the beginning', parseSequence)
    .option('--follow', 'go on as batches are committed, until Ctrl-C')
    .option('--data', 'print the data too, in hexadecimal')
    .option('--json', 'print one JSON object per batch; numbers of 64 bits are strings')
    .addHelpText('after', example('lodestore tail --follow --after 4711 /srv/objects/meta'))
    .action(async (directory: string, options: TailOptions) => {
      finish(await tail(context, directory, options));
    });
}

function example(line: string): string {
  return `\nExample:\n  ${line}\n${EXIT_CODE_HELP}`;
}
