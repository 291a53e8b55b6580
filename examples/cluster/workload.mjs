// @ts-check
import { createHash } from 'node:crypto';
import { ClusterClient } from './cluster-client.mjs';

/** @import { SourceFile } from '../demo/source-tree.mjs' */

const BATCH_FILES = 20;

/** Keys are 64 bits wide. Each shard has a range of them, the same number for each. */
const KEYS = 2n ** 64n;

/**
 * Writers that store a tree's metadata repeatedly. Each batch also has a unique record that nothing
 * overwrites: if one is missing at the end, an acknowledged batch was lost.
 */
export class Workload {
  #shards;
  #files;
  #client;
  #isOver = false;
  #batches = 0n;
  /** The number of keys of a shard. */
  #width;
  /** The lowest value of each key that is not a loss. @type {Map<bigint, bigint>} */
  expected = new Map();
  acknowledged = 0;
  /** Batches without an acknowledgement at the end: they may have been applied. */
  unanswered = 0;
  /** When the last batch of each shard was acknowledged. @type {number[]} */
  #lastMs;
  longestOutageMs = 0;

  /**
   * @param {readonly string[]} addresses
   * @param {number} shards
   * @param {readonly SourceFile[]} files
   */
  constructor(addresses, shards, files) {
    this.#client = new ClusterClient(addresses);
    this.#shards = shards;
    this.#width = KEYS / BigInt(shards);
    this.#files = files;
    this.#lastMs = Array.from({ length: shards }, () => Date.now());
  }

  get retries() {
    return this.#client.retries;
  }

  stop() {
    this.#isOver = true;
  }

  /** Runs until `stop`, one writer for each shard and lane. @param {number} lanes */
  async run(lanes) {
    const writers = [];
    for (let shard = 0; shard < this.#shards; shard++) {
      for (let lane = 0; lane < lanes; lane++) writers.push(this.#write(shard, lane, lanes));
    }
    await Promise.all(writers);
  }

  /**
   * A key has one writer, so its values are acknowledged in order.
   * @param {number} shard
   * @param {number} lane
   * @param {number} lanes
   */
  async #write(shard, lane, lanes) {
    const own = this.#files
      .map((file) => ({ key: this.#keyOf(file.name), file }))
      .filter(({ key }) => Number(key / this.#width) === shard)
      .filter((_, i) => i % lanes === lane);
    for (let pass = 1n; !this.#isOver; pass++) {
      for (let from = 0; from < Math.max(1, own.length) && !this.#isOver; from += BATCH_FILES) {
        const some = own.slice(from, from + BATCH_FILES);
        const batchKey = (BigInt(shard) + 1n) * this.#width - 1n - this.#batches++;
        /** @type {[string, string, string][]} */
        const puts = some.map(({ key, file }) => [
          String(key),
          String(pass),
          JSON.stringify([file.name, file.lengthBytes, file.modifiedMs]),
        ]);
        puts.push([String(batchKey), String(pass), '']);
        const sequence = await this.#client.write(shard, puts, () => this.#isOver);
        if (sequence === undefined) {
          this.unanswered++;
          return;
        }
        this.#note(shard);
        for (const [key, value] of puts) this.expected.set(BigInt(key), BigInt(value));
      }
    }
  }

  /**
   * Files have the lower half of the keys of each shard, batches the upper.
   * @param {string} name
   */
  #keyOf(name) {
    const hash = createHash('sha256').update(name).digest().readBigUInt64LE() % this.#end;
    const start = hash - (hash % this.#width);
    return start + (hash - start) / 2n;
  }

  /** Keys behind the last whole range would be of no shard. */
  get #end() {
    return this.#width * BigInt(this.#shards);
  }

  /** @param {number} shard */
  #note(shard) {
    const now = Date.now();
    this.longestOutageMs = Math.max(this.longestOutageMs, now - (this.#lastMs[shard] ?? now));
    this.#lastMs[shard] = now;
    this.acknowledged++;
  }
}
