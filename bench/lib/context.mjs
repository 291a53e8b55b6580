import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { copyDirectory, FixtureShelf } from './fixtures.mjs';
import { runChild } from './run-child.mjs';

const TIMEOUT_MS = 300_000;

/**
 * One case of a row: what to measure, and its id.
 * @typedef {{ id: string, peer: string, source?: string, job: Record<string, any> }} Case
 * @typedef {{ id: string, peer: string, samples: any[], error?: string }} CaseResult
 */

/** What rows measure with. */
export class Context {
  /** @type {Set<string>} */
  #usable;
  /** Measurements and preparations that failed. @type {string[]} */
  failures = [];

  /**
   * @param {string} scratch Directory for data; on the file system that is measured.
   * @param {{ quick: boolean, scale: number[], usable: string[], missing: Record<string, string> }}
   *   options `usable`: peers that load; `missing`: why others do not.
   */
  constructor(scratch, options) {
    this.scratch = scratch;
    this.quick = options.quick;
    this.scale = options.scale;
    this.missing = options.missing;
    this.#usable = new Set(options.usable);
    this.fixtures = new FixtureShelf(this);
    mkdirSync(scratch, { recursive: true });
  }

  /** `full`, or `quick` in a quick run. @type {<T>(full: T, quick: T) => T} */
  pick(full, quick) {
    return this.quick ? quick : full;
  }

  /** The peers that load. @type {(peers: readonly string[]) => string[]} */
  usable(peers) {
    return peers.filter((peer) => this.#usable.has(peer));
  }

  /** @type {(text: string) => void} */
  log(text) {
    process.stdout.write(`  ${text}\n`);
  }

  /**
   * Records a failed measurement; the others continue.
   * @type {(what: string, error: Error) => void}
   */
  failed(what, error) {
    this.failures.push(what);
    this.log(`${what} failed: ${error.message}`);
  }

  /** A new, empty directory. */
  newDirectory() {
    return mkdtempSync(join(this.scratch, 'store-'));
  }

  /** A new directory: a copy of `source`, or empty. @type {(source?: string) => string} */
  copyOrNew(source) {
    const directory = this.newDirectory();
    if (source !== undefined) copyDirectory(source, directory);
    return directory;
  }

  /** @type {(directory: string) => void} */
  remove(directory) {
    rmSync(directory, { recursive: true, force: true });
  }

  /**
   * @param {string} row
   * @param {Record<string, unknown>} job
   * @param {{ timeoutMs?: number, wrapper?: readonly string[] }} [options]
   */
  child(row, job, options = {}) {
    return runChild(this.scratch, row, job, { timeoutMs: TIMEOUT_MS, ...options });
  }

  /**
   * Measures every case once per round, in turn, every other round backwards, so a temporary
   * disturbance affects all. A case that fails is kept with its error, and not retried. A
   * measurement uses the directory that its job names, or else one of its own: a copy of `source`,
   * or an empty one.
   * @param {string} row
   * @param {readonly Case[]} cases
   * @param {number} rounds
   * @returns {Promise<CaseResult[]>}
   */
  async rounds(row, cases, rounds) {
    /** @type {CaseResult[]} */
    const results = cases.map(({ id, peer }) => ({ id, peer, samples: [] }));
    for (let round = 0; round < rounds; round++) {
      const order = [...cases.keys()];
      if (round % 2 === 1) order.reverse();
      for (const index of order) {
        if (results[index].error === undefined) await this.#once(row, cases[index], results[index]);
      }
      this.log(`round ${round + 1} of ${rounds}`);
    }
    return results;
  }

  /** @type {(row: string, oneCase: Case, result: CaseResult) => Promise<void>} */
  async #once(row, { id, source, job }, result) {
    const own = job.directory === undefined ? this.copyOrNew(source) : undefined;
    try {
      result.samples.push(await this.child(row, { directory: own, ...job }));
    } catch (error) {
      result.error = error.message;
      this.failed(`${row}: ${id}`, error);
    } finally {
      if (own !== undefined) this.remove(own);
    }
  }
}
