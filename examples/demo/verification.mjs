// @ts-check
import { runLanes } from './lanes.mjs';
import { readAt, SourceError, withSource } from './source-reader.mjs';

/** @import { NodeClient } from './node-client.mjs' */
/** @import { Progress } from './progress.mjs' */
/** @import { SourceFile } from './source-tree.mjs' */
/** @import { Acknowledged, Storing } from './storing.mjs' */

/**
 * Compares the node's listing with the record: every acknowledged object must be there as it was
 * sent, and no object that was never sent.
 * @param {NodeClient} client
 * @param {Storing} storing
 * @returns {Promise<{ problems: string[], listed: number, unacknowledged: number }>}
 *   `unacknowledged`: objects that were stored although a kill cut off their response, which is
 *   allowed
 */
export async function checkListing(client, { acknowledged, attempted }) {
  const missing = new Map(acknowledged);
  const problems = [];
  let listed = 0;
  let unacknowledged = 0;
  for await (const { name, lengthBytes, md5 } of client.list()) {
    const known = acknowledged.get(name);
    missing.delete(name);
    listed++;
    if (known === undefined && attempted.has(name)) unacknowledged++;
    else if (known === undefined) problems.push(`${name}: never stored, but listed`);
    else if (known.source.lengthBytes !== lengthBytes || known.md5 !== md5) {
      problems.push(`${name}: listed with another length or checksum`);
    }
  }
  for (const name of missing.keys()) problems.push(`${name}: acknowledged, but missing`);
  return { problems, listed, unacknowledged };
}

/** Compares stored objects with their sources, byte by byte. */
export class Comparison {
  equal = 0;
  equalBytes = 0;
  /** @type {string[]} */
  problems = [];
  /** Files that changed or disappeared during the demo: not compared. @type {string[]} */
  changed = [];
  #client;
  #progress;

  /**
   * @param {NodeClient} client
   * @param {Progress} progress
   */
  constructor(client, progress) {
    this.#client = client;
    this.#progress = progress;
  }

  /**
   * @param {Iterable<Acknowledged>} objects
   * @param {number} inFlight
   */
  async run(objects, inFlight) {
    await runLanes([...objects], inFlight, ({ source }) => this.#compare(source));
  }

  /** @param {SourceFile} source */
  async #compare(source) {
    const { name, path } = source;
    try {
      await withSource(source, async (file) => {
        let offset = 0;
        for await (const stored of this.#client.get(name)) {
          const rest = source.lengthBytes - offset;
          if (stored.length > rest) throw new Error(`has more than ${source.lengthBytes} bytes`);
          const original = await readAt(file, offset, stored.length);
          if (!original.equals(stored)) throw new Error(`differs after byte ${offset}`);
          offset += stored.length;
        }
        if (offset < source.lengthBytes) throw new Error(`has only ${offset} bytes`);
      });
      this.equal++;
      this.equalBytes += source.lengthBytes;
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      if (error instanceof SourceError) this.changed.push(`${path}: ${message}`);
      else this.problems.push(`${name}: ${message}`);
    }
    this.#progress.advance();
  }
}
