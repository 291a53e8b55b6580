import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Ran {
  readonly code: number | null;
  readonly signal: string | null;
  readonly lines: readonly string[];
  readonly errors: string;
}

/** Runs a program to its end and collects its output. */
export async function run(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  let out = '';
  let errors = '';
  child.stdout.on('data', (data: Buffer) => (out += data.toString()));
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code, signal, lines: out.split('\n').filter((line) => line !== ''), errors };
}

/** Runs a program that must succeed. Returns its output. */
export function must(command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status === 0) return stdout.trim();
  throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
}

/** Runs a program that may fail. Returns why it failed, or undefined. */
export function attempt(command: string, ...args: string[]): string | undefined {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 ? undefined : (error?.message ?? (stderr.trim() || `exit code ${status}`));
}

export function hasTool(name: string): boolean {
  return attempt('which', name) === undefined;
}

export const isRoot: boolean = process.getuid?.() === 0;

export function kernelHas(fileSystem: string): boolean {
  return new RegExp(`\\b${fileSystem}$`, 'm').test(readFileSync('/proc/filesystems', 'utf8'));
}

/** Arguments of node to run one of the TypeScript programs of the tests. */
export function program(name: string, ...args: string[]): string[] {
  const hook = new URL('../support/register-typescript.mjs', import.meta.url).href;
  return ['--import', hook, fileURLToPath(new URL(name, import.meta.url)), ...args];
}

/** Passes a new directory to `use` and removes it afterwards. */
export async function inTemporary<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'lodestore-real-'));
  try {
    return await use(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
