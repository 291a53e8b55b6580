// @ts-check
import { createHash } from 'node:crypto';
import { runLanes } from './lanes.mjs';
import { AnswerError } from './node-client.mjs';
import { readPieces, SourceError, withSource } from './source-reader.mjs';

/** @import { NodeProcess } from './node-process.mjs' */
/** @import { Progress } from './progress.mjs' */
/** @import { SourceFile } from './source-tree.mjs' */

/** @typedef {{ source: SourceFile, md5: string }} Acknowledged */

/** One file in this many is stored twice, first with other bytes, to give compaction work. */
const OVERWRITTEN = 3;

/** Maximum delay between an acknowledgement and the kill, so that kills hit all steps of a PUT. */
const MAX_KILL_DELAY_MS = 10;

/** Stores files through a node that may be killed, and records what the node has acknowledged. */
export class Storing {
  /** By name. @type {Map<string, Acknowledged>} */
  acknowledged = new Map();
  acknowledgedBytes = 0;
  /** All names that were sent. @type {Set<string>} */
  attempted = new Set();
  /** Files that cannot be stored, with the reason. @type {string[]} */
  leftOut = [];
  /** Requests that a kill interrupted. */
  interrupted = 0;
  /** Acknowledged versions that were replaced. */
  overwritten = 0;
  #queue;
  #inFlight;
  #progress;
  #running = 0;

  /**
   * @param {readonly SourceFile[]} files
   * @param {number} inFlight
   * @param {Progress} progress
   */
  constructor(files, inFlight, progress) {
    this.#queue = files.toReversed();
    this.#inFlight = inFlight;
    this.#progress = progress;
  }

  /**
   * Stores until `killAfter` objects have been acknowledged, then kills the node.
   * @param {NodeProcess} node
   * @param {number} killAfter
   * @returns {Promise<{ acknowledged: number, inFlight: number }>} objects, and requests when the
   *   node was killed
   */
  async storeAndKill(node, killAfter) {
    /** @type {number | undefined} */
    let inFlight;
    /** @type {Promise<unknown> | undefined} */
    let killing;
    const kill = async () => {
      inFlight = this.#running;
      await node.end('SIGKILL');
    };
    const isOver = () => inFlight !== undefined;
    await this.#store(node, isOver, () => {
      if (this.acknowledged.size >= killAfter) killing ??= randomDelay().then(kill);
    });
    // Files that were left out may have kept the count below `killAfter`.
    killing ??= kill();
    await killing;
    // Counted now, because answers sent before the kill may arrive after it.
    return { acknowledged: this.acknowledged.size, inFlight: inFlight ?? 0 };
  }

  /**
   * Stores all remaining files.
   * @param {NodeProcess} node
   */
  async storeRest(node) {
    await this.#store(
      node,
      () => false,
      () => undefined,
    );
  }

  /**
   * @param {NodeProcess} node
   * @param {() => boolean} isKilled
   * @param {() => void} onAcknowledged
   */
  async #store(node, isKilled, onAcknowledged) {
    /** @param {SourceFile} source */
    const run = async (source) => {
      this.#running++;
      try {
        await this.#put(node, source);
        onAcknowledged();
      } catch (error) {
        if (isHopeless(error)) this.leftOut.push(`${source.path}: ${error.message}`);
        else if (!isKilled()) throw error;
        else this.#retryLater(source);
      } finally {
        this.#running--;
      }
    };
    await runLanes(this.#queue, this.#inFlight, run, isKilled);
  }

  /**
   * @param {NodeProcess} node
   * @param {SourceFile} source
   */
  async #put(node, source) {
    const { name, lengthBytes } = source;
    this.attempted.add(name);
    if (this.attempted.size % OVERWRITTEN === 0) {
      await node.client.put(name, otherBytes(lengthBytes), lengthBytes);
      this.overwritten++;
    }
    const md5 = await withSource(source, async (file) => {
      const hash = createHash('md5');
      const pieces = async function* () {
        for await (const piece of readPieces(file, lengthBytes)) {
          hash.update(piece);
          yield piece;
        }
      };
      const etag = await node.client.put(name, pieces(), lengthBytes);
      const digest = hash.digest('hex');
      if (etag !== digest) throw new Error(`${name}: acknowledged with another checksum`);
      return digest;
    });
    this.acknowledged.set(name, { source, md5 });
    this.acknowledgedBytes += lengthBytes;
    this.#progress.advance();
  }

  /** @param {SourceFile} source */
  #retryLater(source) {
    this.interrupted++;
    this.#queue.push(source);
  }
}

/** @param {number} lengthBytes */
async function* otherBytes(lengthBytes) {
  for (let left = lengthBytes; left > 0; left -= 65_536)
    yield Buffer.alloc(Math.min(left, 65_536), 7);
}

/**
 * True if the file itself is the cause.
 * @param {unknown} error
 * @returns {error is Error}
 */
function isHopeless(error) {
  return error instanceof SourceError || (error instanceof AnswerError && error.status < 500);
}

function randomDelay() {
  return new Promise((resolve) => setTimeout(resolve, Math.random() * MAX_KILL_DELAY_MS));
}
