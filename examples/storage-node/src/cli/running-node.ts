import { readFile, rm, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { NodeFigures } from '../node-figures.ts';

/** The address of a running node. A killed node leaves its file behind. */
export interface RunningNode {
  readonly pid: number;
  readonly endpoint: string;
  /** URL of the second port. */
  readonly status: string;
}

const ASK_MS = 5_000;

function runFilePath(directory: string): string {
  return `${directory}/running.json`;
}

export async function recordRunning(directory: string, running: RunningNode): Promise<void> {
  await writeFile(runFilePath(directory), `${JSON.stringify(running)}\n`);
}

export async function forgetRunning(directory: string): Promise<void> {
  await rm(runFilePath(directory), { force: true });
}

/** The node that reports that it runs on this directory. */
export async function runningNode(data: string): Promise<RunningNode | undefined> {
  try {
    return JSON.parse(await readFile(runFilePath(resolve(data)), 'utf8')) as RunningNode;
  } catch {
    return undefined;
  }
}

/** Undefined if no node runs there, or it does not answer. */
export async function figuresOfRunning(data: string): Promise<NodeFigures | undefined> {
  const running = await runningNode(data);
  if (running === undefined) return undefined;
  try {
    const signal = AbortSignal.timeout(ASK_MS);
    const answer = await fetch(`${running.status}/status.json`, { signal });
    const { pid, figures } = (await answer.json()) as { pid?: number; figures: NodeFigures };
    // Another program may listen there by now.
    return pid === running.pid ? figures : undefined;
  } catch {
    return undefined;
  }
}
