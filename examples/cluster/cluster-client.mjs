// @ts-check
import { setTimeout as pause } from 'node:timers/promises';

/** Writes batches to the current primary of a shard. */
export class ClusterClient {
  #addresses;
  /** The last known primary of each shard. @type {Map<number, string>} */
  #primaries = new Map();
  /** Requests that were repeated because nobody answered, or the answer was an error. */
  retries = 0;

  /** @param {readonly string[]} addresses */
  constructor(addresses) {
    this.#addresses = addresses;
  }

  /**
   * Repeats a batch of puts until it is acknowledged. Applying the same puts twice is harmless.
   * Returns undefined if `isOver` becomes true first. Rejects if the batch is refused as wrong.
   * @param {number} shard
   * @param {[key: string, value: string, data: string][]} puts
   * @param {() => boolean} isOver
   */
  async write(shard, puts, isOver) {
    const body = JSON.stringify(puts);
    for (let attempt = 0; !isOver(); attempt++) {
      const address =
        this.#primaries.get(shard) ?? this.#addresses[attempt % this.#addresses.length];
      const answer = await this.#post(`${address}/batches`, body);
      if (answer?.sequence !== undefined) {
        this.#primaries.set(shard, address ?? '');
        return answer.sequence;
      }
      if (answer?.wrong !== undefined) throw new Error(answer.wrong);
      this.retries++;
      const isNew = answer?.primary !== undefined && answer.primary !== address;
      if (isNew) this.#primaries.set(shard, answer.primary ?? '');
      else this.#primaries.delete(shard);
      await pause(isNew ? 5 : 50);
    }
    return undefined;
  }

  /**
   * @param {string} url
   * @param {string} body
   * @returns {Promise<{ sequence?: string, primary?: string, wrong?: string } | undefined>}
   */
  async #post(url, body) {
    try {
      const signal = AbortSignal.timeout(7000);
      const response = await fetch(url, { method: 'POST', body, signal });
      const answer = /** @type {{ sequence?: string, error?: string }} */ (await response.json());
      return response.status === 400 ? { wrong: answer.error ?? 'the request is wrong' } : answer;
    } catch {
      return undefined;
    }
  }
}
