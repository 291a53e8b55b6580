/**
 * Directories with a loaded store that several rows open. Each is made when the first row asks for it, and kept until
 * the run ends.
 */
export class FixtureShelf {
  #context;
  /** @type {Map<string, { directory: string, loaded: any }>} */
  #shelf = new Map();

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
    const directory = this.#context.newDirectory();
    try {
      const loaded = await this.#context.child('load', { peer, directory, keys, count });
      const made = { directory, loaded };
      this.#shelf.set(name, made);
      this.#context.log(`loaded ${count.toLocaleString('en')} ${keys} keys into ${peer}`);
      return made;
    } catch (error) {
      this.#context.remove(directory);
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

  /** Removes those with at least `count` records, to make room. @type {(peer: string, keys: string, count: number) => void} */
  drop(peer, keys, count) {
    const name = `${peer} ${keys} ${count}`;
    const known = this.#shelf.get(name);
    if (known === undefined) return;
    this.#context.remove(known.directory);
    this.#shelf.delete(name);
  }
}
