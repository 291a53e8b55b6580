// @ts-check
import { mkdir, open, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MetadataStore, restoreBackup, StoreError } from 'lodestore';
import { changeFrom, KIND, messageOf, messagesOf, positionBody } from './wire.mjs';

/** @import { Socket } from 'node:net' */
/** @import { FileHandle } from 'node:fs/promises' */

const RETRY_MS = 50;

/** The leader no longer has the changes after our position. */
class ExpiredError extends Error {}

/**
 * A copy of a leader's store. Each change is applied as one batch, so its sequence numbers are the
 * leader's, and its position is the last sequence number of its own store.
 */
export class Follower {
  /** @type {MetadataStore | undefined} */
  #store;
  #directory;
  #port;
  #log;
  #isStopped = false;
  /** @type {Socket | undefined} */
  #connection;

  /**
   * @param {string} directory
   * @param {number} port
   * @param {(line: string) => void} log
   */
  constructor(directory, port, log) {
    this.#directory = directory;
    this.#port = port;
    this.#log = log;
  }

  /** The store, once it exists. */
  get store() {
    return this.#store;
  }

  /** Follows until it is stopped. Rejects if its own store fails. */
  async run() {
    while (!this.#isStopped) {
      try {
        this.#store ??= await this.#openOrFetch();
        await this.#follow(this.#store);
      } catch (error) {
        if (error instanceof ExpiredError) await this.#discard();
        else if (error instanceof StoreError) throw error;
      }
      // The leader is or was unreachable: retry.
      await sleep(RETRY_MS);
    }
    await this.#store?.close();
  }

  /** Changes that have arrived are still applied. */
  stop() {
    this.#isStopped = true;
    this.#connection?.destroy();
  }

  async #openOrFetch() {
    try {
      return await MetadataStore.open(this.#directory, { createIfMissing: false });
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'LODESTORE_NOT_FOUND') throw error;
    }
    await this.#fetch();
    return MetadataStore.open(this.#directory, { createIfMissing: false });
  }

  async #discard() {
    this.#log('starting again from a backup');
    await this.#store?.close();
    this.#store = undefined;
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Fetches a backup and restores it. An interrupted fetch starts again. */
  async #fetch() {
    const incoming = `${this.#directory}.incoming`;
    await rm(incoming, { recursive: true, force: true });
    await mkdir(incoming, { recursive: true });
    const socket = createConnection(this.#port);
    /** @type {FileHandle | undefined} */
    let file;
    let isWhole = false;
    try {
      socket.write(messageOf(KIND.fetch));
      receiving: for await (const messages of messagesOf(socket)) {
        for (const { kind, body } of messages) {
          if (kind === KIND.file) {
            await file?.close();
            file = await open(join(incoming, basename(body.toString())), 'wx');
          } else if (kind === KIND.piece) await file?.writeFile(body);
          else if (kind === KIND.done) isWhole = true;
          if (isWhole) break receiving;
        }
      }
    } finally {
      socket.destroy();
      await file?.close();
    }
    if (!isWhole) throw new Error('the leader closed the connection');
    // Every file is compared with its checksum, and the store gets its name when all of it is
    // durable.
    const { lastSequence } = await restoreBackup(incoming, this.#directory);
    this.#log(`restored a backup up to batch ${lastSequence}`);
    await rm(incoming, { recursive: true, force: true });
  }

  /** @param {MetadataStore} store */
  async #follow(store) {
    const socket = createConnection(this.#port);
    this.#connection = socket;
    try {
      socket.write(messageOf(KIND.follow, positionBody(store.stats().lastSequence)));
      for await (const messages of messagesOf(socket)) {
        if (this.#isStopped) return;
        await applyAll(store, messages);
      }
    } finally {
      socket.destroy();
    }
  }
}

/**
 * Applies the messages: inserted together, so durable in this order with few syncs.
 * @param {MetadataStore} store
 * @param {readonly { kind: number, body: Buffer }[]} messages
 */
async function applyAll(store, messages) {
  let position = store.stats().lastSequence;
  const writes = [];
  let isExpired = false;
  for (const { kind, body } of messages) {
    if (kind === KIND.expired) isExpired = true;
    if (kind !== KIND.change) continue;
    const { sequence, updates } = changeFrom(body);
    position++;
    if (sequence !== position) throw new ExpiredError(`batch ${sequence} came for ${position}`);
    writes.push(store.insertBatch(updates));
  }
  await Promise.all(writes);
  if (isExpired) throw new ExpiredError('the position has expired');
}
