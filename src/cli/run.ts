import { CommanderError } from 'commander';
import { StoreError, systemCode } from '../base/errors.ts';
import { nodePathAccess } from '../fs/access.ts';
import { nodeFileSystem } from '../fs/node-file-system.ts';
import type { CliIo } from './output/cli-io.ts';
import type { CommandContext } from './output/command-context.ts';
import { InterruptedError, UsageError } from './output/command-errors.ts';
import {
  EXIT_INTERNAL,
  EXIT_INTERRUPTED,
  EXIT_OK,
  EXIT_USAGE,
  exitCodeOf,
} from './output/exit-code.ts';
import { Output, OutputClosedError } from './output/output.ts';
import { makeProgram } from './program.ts';
import { ProgressBar } from './output/progress-bar.ts';

/**
 * Runs one command line, given without interpreter and program. Resolves to the exit code and never
 * rejects. If the reader of the output goes away, as `head` does, the code is not affected.
 */
export async function run(argv: readonly string[], io: CliIo): Promise<number> {
  const bar = new ProgressBar(io.stderr);
  const context = {
    fs: nodeFileSystem,
    access: nodePathAccess,
    out: new Output(io.stdout),
    err: new Output(io.stderr),
    bar,
    signal: io.signal,
    stdin: io.stdin,
  };
  let code = EXIT_OK;
  let told: unknown;
  try {
    await makeProgram(context, (result) => {
      code = result;
    }).parseAsync([...argv], { from: 'user' });
  } catch (error) {
    told = error;
    code = tellError(context, error);
  }
  for (const output of [context.out, context.err]) {
    await output.flush().catch((error: unknown) => {
      if (error instanceof OutputClosedError || error === told) return;
      code = tellError(context, error);
    });
  }
  return code;
}

function tellError(context: CommandContext, error: unknown): number {
  context.bar.clear();
  if (error instanceof OutputClosedError) return EXIT_OK;
  // Commander has already printed its message or the requested help.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  if (error instanceof UsageError) {
    context.err.line(`lodestore: ${error.message}`);
    return EXIT_USAGE;
  }
  if (error instanceof InterruptedError) {
    context.err.line(`lodestore: ${error.message}`);
    return EXIT_INTERRUPTED;
  }
  if (context.signal.aborted) {
    context.err.line('lodestore: interrupted');
    return EXIT_INTERRUPTED;
  }
  const code = systemCode(error);
  if (error instanceof StoreError) context.err.line(`lodestore: ${storeErrorText(error)}`);
  else if (code !== undefined && error instanceof Error)
    context.err.line(`lodestore: ${error.message}`);
  else {
    const detail = error instanceof Error ? error.stack : String(error);
    context.err.line(`lodestore: internal error: ${detail}`);
    return EXIT_INTERNAL;
  }
  return exitCodeOf(error);
}

function storeErrorText(error: StoreError): string {
  const next = NEXT_STEPS.get(error.code);
  return next === undefined ? error.message : `${error.message}. ${next}`;
}

const NEXT_STEPS: ReadonlyMap<string, string> = new Map([
  ['LODESTORE_NOT_FOUND', 'Check the path: give the directory that the store was opened with'],
  ['LODESTORE_NOT_A_DIRECTORY', "Give the store's directory, not a file in it"],
  ['LODESTORE_UNSUPPORTED_FORMAT', 'Use the version of lodestore that wrote it, or a later one'],
]);
