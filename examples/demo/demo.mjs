// @ts-check
import { damageOneObject } from './damage.mjs';
import { NodeProcess } from './node-process.mjs';
import { count, Progress } from './progress.mjs';
import { Storing } from './storing.mjs';
import { checkListing, Comparison } from './verification.mjs';

/** @import { SourceTree } from './source-tree.mjs' */

/**
 * A kill and the restart after it.
 * @typedef {object} Kill
 * @property {number} acknowledged     objects when the node was killed
 * @property {number} inFlight         requests under way at that moment
 * @property {number} records          objects that the node counted after the restart
 * @property {number} unacknowledged   of them, objects whose answer the kill cut off
 * @property {number} restartMs        from the start of the process to its first answer
 */

/**
 * @typedef {object} DemoResult
 * @property {Storing} storing
 * @property {Comparison} comparison
 * @property {Kill[]} kills
 * @property {number} storedRecords  objects that the node counts at the end
 * @property {number} retiredVolumes that compaction emptied and removed
 * @property {string[]} problems
 */

/**
 * Stores a tree through a node that is killed repeatedly, and compares its objects with the
 * tree.
 */
export class Demo {
  #tree;
  #directory;
  #options;
  /** @type {NodeProcess | undefined} */
  #node;
  /** @type {Kill[]} */
  #kills = [];
  /** @type {string[]} */
  #problems = [];

  /**
   * @param {SourceTree} tree
   * @param {string} directory the node's
   * @param {{ kills: number, inFlight: number, damage: boolean }} options
   */
  constructor(tree, directory, options) {
    this.#tree = tree;
    this.#directory = directory;
    this.#options = options;
  }

  /** @returns {Promise<DemoResult>} */
  async run() {
    const { kills, inFlight, damage } = this.#options;
    const { files } = this.#tree;
    const progress = new Progress('storing  ', files.length);
    const storing = new Storing(files, inFlight, progress);
    let node = await this.#start();
    await node.client.createBucket();
    for (let i = 1; i <= kills; i++) {
      const killAfter = Math.floor((files.length * i) / (kills + 1));
      const moment = await storing.storeAndKill(node, killAfter);
      node = await this.#restart(storing, moment, progress);
    }
    await storing.storeRest(node);
    progress.end();
    if (damage) node = await this.#damage(node, storing);
    const comparison = await this.#compare(node, storing);
    const { objects, compaction } = await node.client.figures();
    const exitCode = await node.end('SIGTERM');
    if (exitCode !== 0) this.#problems.push(`the node ended with exit code ${exitCode}`);
    this.#problems.push(...comparison.problems);
    return {
      storing,
      comparison,
      kills: this.#kills,
      storedRecords: objects,
      retiredVolumes: compaction.retiredVolumes,
      problems: this.#problems,
    };
  }

  /** Stops the node if it is running. */
  async abandon() {
    await this.#node?.end('SIGKILL');
  }

  async #start() {
    this.#node = await NodeProcess.start(this.#directory, this.#options.inFlight);
    return this.#node;
  }

  /**
   * @param {Storing} storing
   * @param {{ acknowledged: number, inFlight: number }} moment
   * @param {Progress} progress
   */
  async #restart(storing, moment, progress) {
    const startMs = performance.now();
    const node = await this.#start();
    const { objects: records } = await node.client.figures();
    const restartMs = performance.now() - startMs;
    const { problems, listed, unacknowledged } = await checkListing(node.client, storing);
    if (listed !== records) {
      problems.push(`${records} objects counted, but ${listed} listed`);
    }
    this.#problems.push(
      ...problems.map((problem) => `after kill ${this.#kills.length + 1}: ${problem}`),
    );
    this.#kills.push({ ...moment, records, unacknowledged, restartMs });
    progress.say(
      `killed with ${count(moment.acknowledged)} objects acknowledged and ${moment.inFlight} requests ` +
        `in flight; ${count(records)} objects are there, ${restartMs.toFixed(0)} ms after the restart`,
    );
    return node;
  }

  /**
   * @param {NodeProcess} node
   * @param {Storing} storing
   */
  async #damage(node, storing) {
    await node.end('SIGTERM');
    console.log(
      `--damage: ${await damageOneObject(this.#directory, storing.acknowledged.values())}`,
    );
    return this.#start();
  }

  /**
   * @param {NodeProcess} node
   * @param {Storing} storing
   */
  async #compare(node, storing) {
    const { problems } = await checkListing(node.client, storing);
    this.#problems.push(...problems.map((problem) => `at the end: ${problem}`));
    const progress = new Progress('comparing', storing.acknowledged.size);
    const comparison = new Comparison(node.client, progress);
    await comparison.run(storing.acknowledged.values(), this.#options.inFlight);
    progress.end();
    return comparison;
  }
}
