// @ts-check
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { EtcdEngine } from 'lodestore/etcd';
import { DirectoryCheckpoints, NotPrimaryError, ReplicatedStore } from 'lodestore/replicated';
import { statusPage } from './status-page.mjs';

/** @import { IncomingMessage, ServerResponse } from 'node:http' */

/**
 * @typedef {object} Settings
 * @property {string} directory
 * @property {string} checkpoints  a directory that all nodes share
 * @property {string[]} endpoints  of etcd
 * @property {number} shards
 * @property {string} host
 * @property {number} port
 * @property {number} checkpointMs
 */

/** One node: a replica of each shard, served over HTTP. */
class NodeServer {
  #settings;
  #address;
  #engine;
  /** @type {(ReplicatedStore | undefined)[]} */
  #stores;
  /** @type {(string | undefined)[]} */
  #failures;

  /**
   * @param {Settings} settings
   * @param {EtcdEngine} engine
   */
  constructor(settings, engine) {
    this.#settings = settings;
    this.#engine = engine;
    this.#address = `http://${settings.host}:${settings.port}`;
    this.#stores = Array.from({ length: settings.shards });
    this.#failures = Array.from({ length: settings.shards });
  }

  async start() {
    const server = createServer((request, response) => {
      this.#answer(request, response).catch((error) => this.#fail(response, error));
    });
    server.listen(this.#settings.port, this.#settings.host);
    await Promise.all(this.#stores.map((_, shard) => this.#serve(shard)));
  }

  /** Keeps a replica open: reopens it after a failure. @param {number} shard */
  async #serve(shard) {
    for (;;) {
      try {
        const store = await this.#open(shard);
        this.#stores[shard] = store;
        this.#failures[shard] = undefined;
        await this.#untilFailed(shard, store);
      } catch (error) {
        this.#failures[shard] = String(error);
        console.error(`shard ${shard}:`, error);
      }
      const failed = this.#stores[shard];
      this.#stores[shard] = undefined;
      await failed?.close().catch(() => undefined);
      await pause(1000);
    }
  }

  /** @param {number} shard */
  async #open(shard) {
    const name = `shard-${shard}`;
    const { directory, checkpoints } = this.#settings;
    await mkdir(directory, { recursive: true });
    return ReplicatedStore.open(join(directory, name), {
      log: await this.#engine.log(name),
      elector: this.#engine.elector(name),
      checkpoints: await DirectoryCheckpoints.open(join(checkpoints, name)),
      address: this.#address,
      commitTimeoutMs: 5000,
      threads: 1,
    });
  }

  /**
   * Writes checkpoints while this node is the primary, so that the log is trimmed.
   * @param {number} shard
   * @param {ReplicatedStore} store
   */
  async #untilFailed(shard, store) {
    // Shards write at different times.
    await pause((this.#settings.checkpointMs * shard) / this.#settings.shards);
    for (;;) {
      if (store.stats().replica.failure !== undefined) throw store.stats().replica.failure;
      if (store.role === 'primary') {
        await store.checkpoint().catch((error) => console.error(`shard ${shard}: ${error}`));
      }
      for (let i = 0; i < 10 && store.stats().replica.failure === undefined; i++) {
        await pause(this.#settings.checkpointMs / 10);
      }
    }
  }

  /**
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  async #answer(request, response) {
    const url = new URL(request.url ?? '/', this.#address);
    const [, kind = '', name = ''] = url.pathname.split('/');
    if (kind === '') return send(response, 200, statusPage(this.#address, this.#status()));
    if (kind === 'status') return send(response, 200, { shards: this.#status() });
    if (kind === 'keys') return this.#key(request, response, BigInt(name), url.searchParams);
    const store = this.#stores[Number(name)];
    if (store === undefined)
      return send(response, 503, { error: `no shard ${name} on this node yet` });
    if (kind === 'batches') {
      const { sequence } = await store.insertBatch(updatesOf(JSON.parse(await bodyOf(request))));
      return send(response, 200, { sequence: String(sequence), position: String(store.position) });
    }
    if (kind === 'hash') {
      await store.reached(BigInt(url.searchParams.get('position') ?? 0));
      const position = String(store.position);
      const { hash, records } = await store.contentHash();
      return send(response, 200, { position, hash, records });
    }
    return send(response, 404, { error: 'known paths: /status, /keys, /batches, /hash' });
  }

  /**
   * GET, PUT and DELETE of one record. `?newest` reads the newest state from the
   * primary.
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   * @param {bigint} key
   * @param {URLSearchParams} query
   */
  async #key(request, response, key, query) {
    const shard = Number(key % BigInt(this.#settings.shards));
    const store = this.#stores[shard];
    if (store === undefined)
      return send(response, 503, { error: `no shard ${shard} on this node yet` });
    if (request.method === 'PUT') {
      const data = Buffer.from(await bodyOf(request));
      await store.put(key, BigInt(query.get('value') ?? 0), data);
      return send(response, 200, { position: String(store.position) });
    }
    if (request.method === 'DELETE') {
      await store.delete(key);
      return send(response, 200, { position: String(store.position) });
    }
    if (query.has('newest')) await store.barrier();
    const found = store.get(key);
    if (found === undefined) return send(response, 404, { error: `no record ${key}` });
    const data = Buffer.from(found.data).toString('utf8');
    return send(response, 200, { value: String(found.value), data });
  }

  #status() {
    return this.#stores.map((store, shard) => {
      const failure = this.#failures[shard];
      const none = { position: '0', epoch: '0', lag: '0', records: 0 };
      if (store === undefined) return { shard, role: 'opening', ...none, failure };
      const { replica } = store.stats();
      return {
        shard,
        role: replica.role,
        position: String(replica.position),
        epoch: String(replica.epoch),
        lag: String(replica.lag.entries),
        primary: replica.primaryAddress,
        records: store.size,
        failure: replica.failure === undefined ? undefined : String(replica.failure),
      };
    });
  }

  /**
   * @param {ServerResponse} response
   * @param {unknown} error
   */
  #fail(response, error) {
    const { code, outcome } = /** @type {{ code?: string, outcome?: string }} */ (error);
    const primary = error instanceof NotPrimaryError ? error.address : undefined;
    const status = error instanceof NotPrimaryError ? 421 : 503;
    send(response, status, { error: String(error), code, outcome, primary });
  }
}

/**
 * @param {ServerResponse} response
 * @param {number} status
 * @param {object | string} content  JSON, or a page
 */
function send(response, status, content) {
  const isPage = typeof content === 'string';
  response.writeHead(status, { 'content-type': isPage ? 'text/html' : 'application/json' });
  response.end(isPage ? content : JSON.stringify(content));
}

/** @param {IncomingMessage} request */
async function bodyOf(request) {
  let text = '';
  for await (const piece of request.setEncoding('utf8')) text += piece;
  return text;
}

/**
 * @param {[key: string, value: string, data: string][]} puts
 * @returns {{ type: 'put', key: bigint, value: bigint, data: Uint8Array }[]}
 */
function updatesOf(puts) {
  return puts.map(([key, value, data]) => ({
    type: /** @type {const} */ ('put'),
    key: BigInt(key),
    value: BigInt(value),
    data: Buffer.from(data),
  }));
}

/** Retries, because the engine may start later than this node. @param {string[]} endpoints */
async function connect(endpoints) {
  for (;;) {
    try {
      return await EtcdEngine.connect({ endpoints });
    } catch (error) {
      if (/** @type {{ code?: string }} */ (error).code !== 'LODESTORE_LOG_UNAVAILABLE')
        throw error;
      await pause(200);
    }
  }
}

const settings = /** @type {Settings} */ (JSON.parse(process.argv[2] ?? '{}'));
await new NodeServer(settings, await connect(settings.endpoints)).start();
