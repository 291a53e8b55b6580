import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import type { LockOwner } from '../../src/base/errors.ts';
import type { OwnerRecord } from '../../src/directory/owner-record.ts';
import { programPath } from './program.ts';

const PROGRAM = programPath('lock-holder');

export interface LockLine {
  readonly held?: OwnerRecord;
  readonly refused?: string;
  readonly owner?: LockOwner;
  readonly lost?: string;
  readonly released?: true;
}

/** A process that runs `lock-holder.ts`. Killed at the end of the running test. */
export class LockProcess {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #exited: Promise<unknown>;

  constructor(directory: string, staleMs: number) {
    const child = spawn(process.execPath, [PROGRAM, directory, `${staleMs}`], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.#exited = once(child, 'exit');
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await this.#exited;
    });
  }

  /** The next line that the process prints. */
  async next(): Promise<LockLine> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error('the process ended without a word');
    const said: LockLine = JSON.parse(line.value);
    return said;
  }

  /** Releases the lock and waits for the confirmation. */
  async release(): Promise<void> {
    this.child.stdin?.write('release\n');
    for (;;) if ((await this.next()).released === true) return;
  }

  async signal(signal: NodeJS.Signals): Promise<void> {
    this.child.kill(signal);
    await this.#exited;
  }

  /** Ends the process's input, upon which it exits. */
  async end(): Promise<void> {
    this.child.stdin?.end();
    await this.#exited;
  }
}
