// @ts-check
import { once } from 'node:events';

/** @import { ChildProcess } from 'node:child_process' */
/** @import { Hosts } from './hosts.mjs' */

/** A program on a host that can be killed and started again. */
export class ServerProcess {
  #hosts;
  #host;
  #program;
  #args;
  #logPath;
  /** @type {ChildProcess | undefined} */
  #child;

  /**
   * @param {Hosts} hosts
   * @param {number} host
   * @param {string} program
   * @param {readonly string[]} args
   * @param {string} logPath
   */
  constructor(hosts, host, program, args, logPath) {
    this.#hosts = hosts;
    this.#host = host;
    this.#program = program;
    this.#args = args;
    this.#logPath = logPath;
  }

  get isRunning() {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  start() {
    this.#child = this.#hosts.spawn(this.#host, this.#program, this.#args, this.#logPath);
  }

  /** @param {NodeJS.Signals} signal */
  signal(signal) {
    if (this.isRunning) this.#child?.kill(signal);
  }

  /** @param {NodeJS.Signals} [signal] */
  async kill(signal = 'SIGKILL') {
    if (this.#child === undefined || !this.isRunning) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill(signal);
    await exited;
  }
}
