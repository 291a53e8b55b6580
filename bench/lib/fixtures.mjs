/**
 * A load is measured for no longer: what is then missing is added in large batches, off the clock.
 */
export const LOAD_LIMIT_MS = 30_000;
const TIMEOUT_MS = 200_000;
const TIMEOUT_MS_PER_RECORD = 0.02;

/**
 * Directories with a loaded store that several rows open. Each is made when the first row asks for
 * it, and kept until the run ends.
 */
export class FixtureShelf {
  #context;
  /** @type {Map<string, { directory: string, loaded: any }>} */
  #shelf = new Map();
  /** What could not be made; not tried again. @type {Map<string, Error>} */
  #failed = new Map();

  /** @param {import('./context.mjs').Context} context */
  constructor(context) {
    this.#context = context;
  }

  /**
   * The directory of `peer` with `count` records loaded by 1,000, and what loading it measured.
   * @param {string} peer
   * @param {import('./workload.mjs').KeyKind} keys
   * @param {number} count
   * @returns {Promise<{ directory: string, loaded: any }>} Rejects if the peer could not load them.
   */
  async get(peer, keys, count) {
    const name = `${peer} ${keys} ${count}`;
    const known = this.#shelf.get(name);
    if (known !== undefined) return known;
    const failure = this.#failed.get(name);
    if (failure !== undefined) throw failure;
    const directory = this.#context.newDirectory();
    try {
      const job = { peer, directory, keys, count, limitMs: LOAD_LIMIT_MS };
      const timeoutMs = TIMEOUT_MS + count * TIMEOUT_MS_PER_RECORD;
      const loaded = await this.#context.child('load', job, { timeoutMs });
      const made = { directory, loaded };
      this.#shelf.set(name, made);
      this.#context.log(`loaded ${count.toLocaleString('en')} ${keys} keys into ${peer}`);
      return made;
    } catch (error) {
      this.#context.remove(directory);
      this.#failed.set(name, error);
      throw error;
    }
  }

  /**
   * Fixtures of several peers; those that fail are left out and named in the log.
   * @param {readonly string[]} peers
   * @param {import('./workload.mjs').KeyKind} keys
   * @param {number} count
   */
  async getAll(peers, keys, count) {
    const found = [];
    for (const peer of peers) {
      try {
        found.push({ peer, ...(await this.get(peer, keys, count)) });
      } catch (error) {
        this.#context.log(`${peer} could not be loaded: ${error.message}`);
      }
    }
    return found;
  }

  /**
   * Removes those with at least `count` records, to make room. @type {(peer: string, keys: string,
   * count: number) => void}
   */
  drop(peer, keys, count) {
    const name = `${peer} ${keys} ${count}`;
    const known = this.#shelf.get(name);
    if (known === undefined) return;
    this.#context.remove(known.directory);
    this.#shelf.delete(name);
  }
}
