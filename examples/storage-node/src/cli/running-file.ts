import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import type { ControlAddress } from '../control/control-server.ts';

/** Where a running node is. */
export interface RunningNode extends ControlAddress {
  readonly pid: number;
  readonly endpoint: string;
  readonly status: string;
}

export function runFilePath(directory: string): string {
  return `${directory}/running.json`;
}

/** Only its owner can read it: it holds the token of the commands. */
export async function writeRunFile(directory: string, running: RunningNode): Promise<void> {
  // A file of an earlier run would keep its mode.
  await rm(runFilePath(directory), { force: true });
  await writeFile(runFilePath(directory), `${JSON.stringify(running)}\n`, { mode: 0o600 });
}

export async function forgetRunning(directory: string): Promise<void> {
  await rm(runFilePath(directory), { force: true });
}

/** True also for a node that was killed: a stop removes the file. */
export async function hasRunFile(directory: string): Promise<boolean> {
  try {
    await stat(runFilePath(directory));
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return false;
    throw error;
  }
}

/** Undefined: no node runs here, as far as its file says. */
export async function readRunFile(directory: string): Promise<RunningNode | undefined> {
  let text: string;
  try {
    text = await readFile(runFilePath(directory), 'utf8');
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const running = JSON.parse(text) as RunningNode;
    return isAlive(running.pid) ? running : undefined;
  } catch {
    // The node was killed while it wrote the file.
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM';
  }
}
