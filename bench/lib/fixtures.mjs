import { spawnSync } from 'node:child_process';
import { cpSync } from 'node:fs';

/**
 * A load is measured for at most this long; missing records are then added in large batches,
 * untimed.
 */
export const LOAD_LIMIT_MS = 20_000;
const TIMEOUT_MS = 300_000;
const TIMEOUT_MS_PER_RECORD = 0.03;

/** @typedef {import('./workload.mjs').KeyKind} KeyKind */

/**
 * Directories with a loaded store that several rows open or copy. Each is made when the first row
 * asks for it, and kept until the run ends or a row drops it.
 */
export class FixtureShelf {
  #context;
  /** @type {Map<string, { directory: string, made: any }>} */
  #shelf = new Map();
  /** Failed fixtures; they are not tried again. @type {Map<string, Error>} */
  #failed = new Map();

  /** @param {import('./context.mjs').Context} context */
  constructor(context) {
    this.#context = context;
  }

  /** Number of records in a store before writes to it are measured. */
  get baseCount() {
    return this.#context.pick(1_000_000, 20_000);
  }

  /**
   * The directory of `peer` with `count` records, loaded by 1,000. Above {@link baseCount} it is a
   * copy of that one to which the rest was added; `made` is what adding it measured.
   * @param {string} peer
   * @param {KeyKind} keys
   * @param {number} count
   * @returns {Promise<{ directory: string, made: any }>} Rejects if the peer could not load them.
   */
  async get(peer, keys, count = this.baseCount) {
    return this.#once(`${peer} ${keys} ${count}`, async () => {
      const isLarger = count > this.baseCount;
      const base = isLarger ? await this.get(peer, keys) : undefined;
      const directory = this.#context.copyOrNew(base?.directory);
      const from = isLarger ? this.baseCount : 0;
      const job = { peer, directory, keys, from, count, limitMs: LOAD_LIMIT_MS };
      return { directory, made: await this.#child('load', job, count) };
    });
  }

  /**
   * Fixtures of several peers; those that fail are left out and named in the log.
   * @param {readonly string[]} peers
   * @param {KeyKind} keys
   * @param {number} [count]
   */
  async getAll(peers, keys, count) {
    const found = [];
    for (const peer of peers) {
      try {
        found.push({ peer, ...(await this.get(peer, keys, count)) });
      } catch (error) {
        this.#context.log(`without ${peer}: ${error.message}`);
      }
    }
    return found;
  }

  /**
   * A copy of lodestore's directory in which the logs have been merged.
   * @type {(keys: KeyKind, count: number) => Promise<{ directory: string, made: any }>}
   */
  async merged(keys, count) {
    return this.#once(`lodestore, merged ${keys} ${count}`, async () => {
      const { directory: source } = await this.get('lodestore', keys, count);
      const directory = this.#context.copyOrNew(source);
      return { directory, made: await this.#child('reopen', { kind: 'merge', directory }, count) };
    });
  }

  /**
   * A store of `count` records whose process was killed. lodestore's snapshot has half of them; the
   * others, and overwrites of one record in a hundred, are in logs. Rows must copy it before they
   * open it, because a close would end the state after a kill.
   * @param {string} peer
   * @param {KeyKind} keys
   * @param {number} count
   * @returns {Promise<{ directory: string, made: any }>}
   */
  async killed(peer, keys, count) {
    return this.#once(`${peer}, killed ${keys} ${count}`, async () => {
      const directory = this.#context.newDirectory();
      const job = { kind: 'load', peer, directory, keys, count };
      return { directory, made: await this.#child('killed', job, count) };
    });
  }

  /**
   * Removes what `get` made, to free its space.
   * @param {string} peer
   * @param {KeyKind} keys
   * @param {number} count
   */
  drop(peer, keys, count) {
    const name = `${peer} ${keys} ${count}`;
    const known = this.#shelf.get(name);
    if (known === undefined) return;
    this.#context.remove(known.directory);
    this.#shelf.delete(name);
  }

  #child(row, job, count) {
    return this.#context.child(row, job, { timeoutMs: TIMEOUT_MS + count * TIMEOUT_MS_PER_RECORD });
  }

  /** What `make` makes, once for each name. */
  async #once(name, make) {
    const known = this.#shelf.get(name);
    if (known !== undefined) return known;
    const failure = this.#failed.get(name);
    if (failure !== undefined) throw failure;
    try {
      const one = await make();
      this.#shelf.set(name, one);
      this.#context.log(`prepared: ${name} keys`);
      return one;
    } catch (error) {
      this.#failed.set(name, error);
      this.#context.failed(`preparing ${name} keys`, error);
      throw error;
    }
  }
}

/** Copies a directory, and waits until all of it is on the device. */
export function copyDirectory(from, to) {
  cpSync(from, to, { recursive: true, preserveTimestamps: true });
  spawnSync('sync');
}
