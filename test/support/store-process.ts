import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import { programPath } from './program.ts';

const PROGRAM = programPath('store-holder');

/** A line that `store-holder.ts` prints. */
export interface StoreLine {
  readonly ready?: true;
  readonly opened?: number;
  readonly refused?: string;
  readonly ownerPid?: number;
  readonly acknowledged?: number;
  readonly failed?: number;
  readonly code?: string;
  readonly outcome?: string;
  readonly isFenced?: boolean;
  readonly poisoned?: string;
  readonly keys?: readonly number[];
  readonly closed?: true;
}

/** A process that runs `store-holder.ts`. Killed at the end of the running test. */
export class StoreProcess {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #exited: Promise<unknown>;
  /** The reported poisoning, which can arrive between other lines. */
  poisoned: string | undefined = undefined;

  constructor() {
    const child = spawn(process.execPath, [PROGRAM], {
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

  /** Resolves when the program is loaded, so that later requests are fast. */
  static async start(): Promise<StoreProcess> {
    const started = new StoreProcess();
    await started.next();
    return started;
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  /** Sends a request and resolves to its result. */
  async ask(...words: readonly (string | number)[]): Promise<StoreLine> {
    this.child.stdin?.write(`${words.join('\t')}\n`);
    return this.next();
  }

  async next(): Promise<StoreLine> {
    for (;;) {
      const line = await this.#lines.next();
      if (line.done === true) throw new Error('the process ended without a word');
      const said: StoreLine = JSON.parse(line.value);
      if (said.poisoned === undefined) return said;
      this.poisoned = said.poisoned;
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.#exited;
  }
}
