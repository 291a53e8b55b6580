// @ts-check
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NodeClient } from './node-client.mjs';

/** @import { ChildProcess } from 'node:child_process' */

const PROGRAM =
  process.env['LODESTORE_NODE_PROGRAM'] ??
  fileURLToPath(new URL('../storage-node/bin/lodestore-node.mjs', import.meta.url));

/** Small volumes, so that compaction has work within a demo. */
const FLAGS = ['--volume-bytes', '8M', '--dead-ratio', '0.15'];

/** A storage node in a separate process. */
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
   * @throws {Error} with its output, if it exits instead
   */
  static async start(directory, connections) {
    const ports = ['--port', '0', '--admin-port', '0'];
    const args = [...process.execArgv, PROGRAM, 'start', '--data', directory, ...ports, ...FLAGS];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const exited = once(child, 'exit');
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (chunk) => (said = (said + chunk).slice(-4096)));
    const greeting = await Promise.race([greetingOf(child), exited.then(() => undefined)]);
    if (greeting === undefined) throw new Error(`the node did not start: ${said}`);
    const [key] = JSON.parse(await readFile(join(directory, 'keys.json'), 'utf8'));
    const url = /^S3 endpoint +(\S+)/m.exec(greeting)?.[1] ?? '';
    const statusUrl = /^Status page +(\S+)/m.exec(greeting)?.[1]?.replace(/\/$/, '') ?? '';
    const client = new NodeClient({ url, statusUrl, key }, connections);
    return new NodeProcess(child, exited, client);
  }

  /**
   * Sends a signal. SIGKILL leaves the process no time to clean up.
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

/**
 * The node's output until it serves; the last line names the directory.
 * @param {ChildProcess} child
 * @returns {Promise<string>}
 */
function greetingOf(child) {
  return new Promise((resolve) => {
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
      if (/^Data .*\n/m.test(text)) resolve(text);
    });
  });
}
