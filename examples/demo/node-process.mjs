// @ts-check
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { NodeClient } from './node-client.mjs';

/** @import { ChildProcess } from 'node:child_process' */

const PROGRAM = fileURLToPath(new URL('../storage-node/main.mjs', import.meta.url));

/** A storage node in a process of its own. */
export class NodeProcess {
  client;
  #child;
  #exited;

  /**
   * @param {ChildProcess} child
   * @param {Promise<unknown>} exited
   * @param {NodeClient} client
   */
  constructor(child, exited, client) {
    this.#child = child;
    this.#exited = exited;
    this.client = client;
  }

  /**
   * Resolves when the node answers.
   * @param {string} directory
   * @param {number} connections
   * @throws {Error} with what it said, if it ends instead
   */
  static async start(directory, connections) {
    const child = fork(PROGRAM, ['--data', directory, '--port', '0'], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const exited = once(child, 'exit');
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (chunk) => (said = (said + chunk).slice(-4096)));
    const url = await Promise.race([
      once(child, 'message').then(([message]) => message.url),
      exited.then(() => once(child, 'close')).then(() => undefined),
    ]);
    if (url === undefined) throw new Error(`the node did not start: ${said}`);
    return new NodeProcess(child, exited, new NodeClient(url, connections));
  }

  /**
   * Sends a signal. SIGKILL leaves the process no moment to put anything in order.
   * @param {NodeJS.Signals} signal
   * @returns {Promise<number | null>} the exit code, once the process has ended
   */
  async end(signal) {
    this.#child.kill(signal);
    await this.#exited;
    this.client.close();
    return this.#child.exitCode;
  }
}
