import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

const PROGRAM = fileURLToPath(new URL('../../../examples/storage-node/main.mjs', import.meta.url));
const HOOK = new URL('./register-lodestore.mjs', import.meta.url).href;
const FAILING_WRITES = new URL('./failing-writes.mjs', import.meta.url).href;

/** A storage node in a process of its own; killed when the running test is over. */
export class NodeChild {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  /** What it has said on its standard error. */
  said = '';

  /**
   * `failingWrites`: path of the file that makes the metadata store's writes fail once it exists.
   */
  constructor(directory: string, failingWrites?: string) {
    this.child = fork(PROGRAM, ['--data', directory, '--port', '0'], {
      execArgv: ['--import', HOOK, '--import', FAILING_WRITES],
      env: {
        ...process.env,
        ...(failingWrites !== undefined && { FAILING_WRITES: failingWrites }),
      },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text) => (this.said += text));
    this.exited = once(this.child, 'close');
    onTestFinished(() => this.end('SIGKILL').then(() => undefined));
  }

  /** Resolves with the node's URL when it answers. */
  async ready(): Promise<string> {
    const url = await Promise.race([
      once(this.child, 'message').then(([message]): string => message.url),
      this.exited.then(() => undefined),
    ]);
    if (url === undefined) throw new Error(`the node ended: ${this.said}`);
    return url;
  }

  /** Sends the signal and resolves with the exit code, null if the signal was deadly. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.child.kill(signal);
    await this.exited;
    return this.child.exitCode;
  }
}
