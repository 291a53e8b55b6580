// @ts-check
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** @import { ChildProcess } from 'node:child_process' */

/**
 * @typedef {object} Content
 * @property {string} hash
 * @property {number} records
 * @property {string} lastSequence
 */

const USAGE = `usage: node examples/follower/main.mjs [options]
Runs a leader that writes and a follower that copies it over TCP, and kills one of them at random
repeatedly. Then compares the content hashes of both stores. Exit code 0: they are equal.
  --kills N   number of SIGKILLs (default 10)`;

const MAX_PAUSE_MS = 400;
const EXIT_DIFFERENT = 1;
const EXIT_USAGE = 2;

/** One of the two processes, restarted after each kill. */
class Side {
  /** @type {ChildProcess | undefined} */
  #child;
  /**
   * Messages that were not read yet; undefined after the exit.
   * @type {any[]}
   */
  #said = [];
  #program;
  #name;

  /** @param {'leader' | 'follower'} name */
  constructor(name) {
    this.#name = name;
    this.#program = fileURLToPath(new URL(`./${name}-process.mjs`, import.meta.url));
  }

  /** @param {string[]} args */
  async start(...args) {
    const child = fork(this.#program, args);
    this.#child = child;
    this.#said = [];
    child.on('message', (/** @type {{ log?: string }} */ message) => {
      if (message.log === undefined) this.#said.push(message);
      else console.log(`  ${this.#name}: ${message.log}`);
    });
    child.on('exit', () => this.#said.push(undefined));
    return this.answer('its start');
  }

  /**
   * The next message that is not a log line.
   * @param {string} what
   */
  async answer(what) {
    const child = this.#child;
    if (child === undefined) throw new Error(`the ${this.#name} has not been started`);
    while (this.#said.length === 0) {
      await Promise.race([once(child, 'message'), once(child, 'exit')]);
    }
    const message = this.#said.shift();
    if (message === undefined) throw new Error(`the ${this.#name} ended before it told ${what}`);
    return message;
  }

  /** @param {string} message */
  tell(message) {
    this.#child?.send(message);
  }

  async kill() {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }
}

/** @param {number} kills */
async function demonstrate(kills) {
  const parent = await mkdtemp(join(tmpdir(), 'lodestore-follower-'));
  const leader = new Side('leader');
  const follower = new Side('follower');
  const [leaderArg, followerArg] = [join(parent, 'leader'), join(parent, 'follower')];
  try {
    const { port } = await leader.start(leaderArg, '0');
    await follower.start(followerArg, `${port}`);
    for (let kill = 1; kill <= kills; kill++) {
      await sleep(Math.random() * MAX_PAUSE_MS);
      const isLeader = Math.random() < 0.5;
      console.log(`kill ${kill} of ${kills}: the ${isLeader ? 'leader' : 'follower'}`);
      await (isLeader ? leader : follower).kill();
      await sleep(Math.random() * MAX_PAUSE_MS);
      if (isLeader) await leader.start(leaderArg, `${port}`);
      else await follower.start(followerArg, `${port}`);
    }
    leader.tell('stop');
    const led = /** @type {Content} */ (await leader.answer('what it holds'));
    follower.tell(led.lastSequence);
    const followed = /** @type {Content} */ (await follower.answer('what it holds'));
    return { led, followed };
  } finally {
    await leader.kill();
    await follower.kill();
    await rm(parent, { recursive: true, force: true });
  }
}

/** @param {Content} content */
function textOf({ hash, records, lastSequence }) {
  return `${hash}, ${records} records after ${lastSequence} batches`;
}

/** @returns {number | undefined} */
function readKills() {
  try {
    const { values } = parseArgs({ options: { kills: { type: 'string', default: '10' } } });
    return /^[0-9]{1,4}$/.test(values.kills) ? Number(values.kills) : undefined;
  } catch {
    return undefined;
  }
}

const kills = readKills();
if (kills === undefined) {
  console.error(USAGE);
  process.exitCode = EXIT_USAGE;
} else {
  const { led, followed } = await demonstrate(kills);
  console.log(`leader:   ${textOf(led)}\nfollower: ${textOf(followed)}`);
  const isEqual = led.hash === followed.hash && led.lastSequence === followed.lastSequence;
  console.log(isEqual ? 'the same' : 'DIFFERENT');
  if (!isEqual) process.exitCode = EXIT_DIFFERENT;
}
