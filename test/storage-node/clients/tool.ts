import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: Uint8Array;
}

const LIMIT_MS = 120_000;

/** Runs a program to its end, with a timeout of two minutes. */
export async function run(
  program: string,
  args: readonly string[],
  { env = {}, cwd, input }: RunOptions = {},
): Promise<Ran> {
  const child = spawn(program, args, {
    env: { PATH: process.env['PATH'], HOME: cwd, ...env },
    stdio: 'pipe',
    timeout: LIMIT_MS,
    ...(cwd !== undefined && { cwd }),
  });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  // Rejects if the program cannot be started.
  const ended = once(child, 'close') as Promise<[code: number | null]>;
  const outputs = [buffer(child.stdout), buffer(child.stderr)] as const;
  const [[code], stdout, stderr] = await Promise.all([ended, ...outputs]);
  return { code: code ?? -1, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** The path of a program; `undefined` if it is not installed. */
export async function locate(program: string): Promise<string | undefined> {
  const { code, stdout } = await run('sh', ['-c', `command -v ${program}`]);
  return code === 0 ? stdout.trim() : undefined;
}

/** The steps of one client. */
export class Protocol {
  readonly client: string;
  readonly done: string[] = [];
  readonly failed: string[] = [];

  constructor(client: string) {
    this.client = client;
  }

  async step(name: string, action: () => Promise<void>): Promise<void> {
    try {
      await action();
      this.done.push(name);
    } catch (error) {
      this.failed.push(name);
      console.error(`  ${this.client}: ${name} FAILED: ${(error as Error).message}`);
    }
  }
}

export function assertThat(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}
