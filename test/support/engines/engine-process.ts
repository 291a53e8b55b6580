import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const START_MS = 30_000;
const CHECK_MS = 3_000;

/**
 * The path of a program: from the environment variable or the candidates. Undefined if not
 * installed.
 */
export function programPath(variable: string, candidates: readonly string[]): string | undefined {
  const given = process.env[variable];
  if (given !== undefined) return given === '' ? undefined : given;
  for (const one of candidates) {
    if (one.startsWith('/')) {
      if (existsSync(one)) return one;
      continue;
    }
    try {
      const find = ['-c', `command -v ${one}`];
      return execFileSync('sh', find, { encoding: 'utf8', timeout: CHECK_MS }).trim();
    } catch {
      // It is not in PATH.
    }
  }
  return undefined;
}

const KEEPER = programPath('LODESTORE_SETPRIV', ['setpriv']);

/** Free loopback ports. Another program may take one before it is used. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** The user of a process; by default this process's. */
export interface ProcessOwner {
  readonly uid?: number;
  readonly gid?: number;
}

/** Children that run. Where there is no `setpriv`, they end with a process that ends by itself. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** How long a server may take to end at a signal, before it is killed. */
const END_MS = 10_000;

/** One server of an engine. It ends with the process that started it. */
export class EngineProcess {
  readonly name: string;
  readonly #program: string;
  readonly #arguments: readonly string[];
  readonly #logPath: string;
  #child: ChildProcess | undefined;

  readonly #owner: ProcessOwner;

  constructor(
    name: string,
    program: string,
    args: readonly string[],
    logPath: string,
    owner: ProcessOwner = {},
  ) {
    this.#owner = owner;
    this.name = name;
    this.#program = program;
    this.#arguments = args;
    this.#logPath = logPath;
  }

  get isRunning(): boolean {
    return (
      this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
    );
  }

  start(): void {
    const log = openSync(this.#logPath, 'a');
    const line = [this.#program, ...this.#arguments];
    if (KEEPER !== undefined) line.unshift(KEEPER, '--pdeathsig', 'KILL', '--');
    const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], LC_ALL: 'C' };
    const child = spawn(line[0]!, line.slice(1), {
      stdio: ['ignore', log, log],
      env,
      ...this.#owner,
    });
    this.#child = child;
    running.add(child);
    child.once('exit', () => running.delete(child));
    child.unref();
    closeSync(log);
  }

  signal(signal: NodeJS.Signals): void {
    if (this.isRunning) this.#child?.kill(signal);
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (!this.isRunning) return;
    const child = this.#child!;
    const ended = once(child, 'exit');
    child.ref();
    child.kill(signal);
    // One that is stopped does not end at SIGQUIT.
    const late = setTimeout(() => child.kill('SIGKILL'), END_MS);
    await ended;
    clearTimeout(late);
  }

  /** The output of the server so far. */
  log(): string {
    return readFileSync(this.#logPath, 'utf8');
  }
}

/** Repeats until `check` resolves to true, because a server takes a while to start. */
export async function until(
  what: string,
  check: (signal: AbortSignal) => Promise<boolean>,
): Promise<void> {
  const endMs = Date.now() + START_MS;
  while (Date.now() < endMs) {
    if (await check(AbortSignal.timeout(CHECK_MS)).catch(() => false)) return;
    await pause(50);
  }
  throw new Error(`${what}: not within ${START_MS / 1_000} s`);
}

/** For `beforeAll`: a server may be started a few times. */
export const HOOK_MS = 180_000;
