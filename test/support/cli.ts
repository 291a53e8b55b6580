import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { CommandContext } from '../../src/cli/output/command-context.ts';
import { Output } from '../../src/cli/output/output.ts';
import { ProgressBar } from '../../src/cli/output/progress-bar.ts';
import { run } from '../../src/cli/run.ts';
import { nodePathAccess, type PathAccess } from '../../src/fs/access.ts';
import type { FileSystem } from '../../src/fs/file-system.ts';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';

/** A stream that keeps its input. */
export class TextSink extends Writable {
  text = '';
  readonly isTTY: boolean;
  readonly columns = 100;

  constructor(isTTY = false) {
    super({ decodeStrings: false });
    this.isTTY = isTTY;
  }

  override _write(chunk: unknown, _encoding: string, done: () => void): void {
    this.text += String(chunk);
    done();
  }
}

export interface CliResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line in this process. */
export async function runCli(
  argv: readonly string[],
  signal: AbortSignal = new AbortController().signal,
): Promise<CliResult> {
  const stdout = new TextSink();
  const stderr = new TextSink();
  const code = await run(argv, { stdout, stderr, signal });
  return { code, out: stdout.text, err: stderr.text };
}

/** The context of a command whose output is not looked at. */
export function commandContext(signal: AbortSignal = new AbortController().signal): CommandContext {
  const [out, err] = [new Output(new TextSink()), new Output(new TextSink())];
  const bar = new ProgressBar(new TextSink());
  return { fs: nodeFileSystem, access: nodePathAccess, out, err, bar, signal };
}

/** Runs one command on the test's file system. */
export async function runOn(
  fs: FileSystem,
  command: (context: CommandContext) => Promise<number>,
  access?: PathAccess,
): Promise<CliResult> {
  const stdout = new TextSink();
  const stderr = new TextSink();
  const out = new Output(stdout);
  const err = new Output(stderr);
  const { signal } = new AbortController();
  const code = await command({ fs, access, out, err, bar: new ProgressBar(stderr), signal });
  await out.flush();
  await err.flush();
  return { code, out: stdout.text, err: stderr.text };
}

/** Names, times and contents of everything below a directory. */
export async function fingerprint(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const lines = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    const { mtimeMs, ctimeMs, size } = await stat(path);
    const content = entry.isFile() ? await readFile(path) : '';
    const hash = createHash('sha256').update(content).digest('hex');
    return `${path} ${mtimeMs} ${ctimeMs} ${size} ${hash}`;
  });
  return (await Promise.all(lines)).sort();
}
