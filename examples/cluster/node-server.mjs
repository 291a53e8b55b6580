// @ts-check
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { EtcdEngine } from 'lodestore/etcd';
import {
  AcrossShardsError,
  DirectoryCheckpoints,
  NotPrimaryError,
  ShardedStore,
} from 'lodestore/replicated';
import { statusPage } from './status-page.mjs';

/** @import { IncomingMessage, ServerResponse } from 'node:http' */
/** @import { ShardStatus } from './cluster.mjs' */

/**
 * @typedef {object} Settings
 * @property {string} directory
 * @property {string} checkpoints  a directory that all nodes share
 * @property {string[]} endpoints  of etcd
 * @property {string[]} nodes  addresses of all nodes
 * @property {number} shards
 * @property {number} copies  number of nodes that have each shard
 * @property {string} host
 * @property {number} port
 * @property {number} checkpointMs
 */

/** The errors of requests that need not be repeated. */
const WRONG_REQUESTS = [AcrossShardsError, SyntaxError, TypeError, RangeError];

/** One node: a sharded store, served over HTTP. */
class NodeServer {
  #settings;
  #address;
  #engine;
  /** Undefined until the shards of this node are open. @type {ShardedStore | undefined} */
  #opened;

  /**
   * @param {Settings} settings
   * @param {EtcdEngine} engine
   */
  constructor(settings, engine) {
    this.#settings = settings;
    this.#engine = engine;
    this.#address = `http://${settings.host}:${settings.port}`;
  }

  async start() {
    const server = createServer((request, response) => {
      this.#answer(request, response).catch((error) => this.#fail(response, error));
    });
    server.listen(this.#settings.port, this.#settings.host);
    this.#opened = await this.#open();
  }

  /** The first node that starts creates the map; then it changes only by moves of shards. */
  #open() {
    const { directory, checkpoints, nodes, shards, copies, checkpointMs } = this.#settings;
    const width = 2n ** 64n / BigInt(shards);
    const starts = Array.from({ length: shards }, (_, shard) => BigInt(shard) * width);
    return ShardedStore.open(directory, {
      map: this.#engine.shardMap('cluster'),
      address: this.#address,
      create: { nodes, copies, routing: { kind: 'range', starts } },
      connect: async (shard) => ({
        log: await this.#engine.log(`shard-${shard}`),
        elector: this.#engine.elector(`shard-${shard}`),
        checkpoints: await DirectoryCheckpoints.open(join(checkpoints, `shard-${shard}`)),
      }),
      commitTimeoutMs: 5000,
      checkpointEveryMs: checkpointMs,
    });
  }

  get #store() {
    if (this.#opened === undefined) throw new Error('this node is starting');
    return this.#opened;
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
    if (kind === 'batches') {
      const updates = updatesOf(JSON.parse(await bodyOf(request)));
      const { sequence } = await this.#store.insertBatch(updates);
      return send(response, 200, { sequence: String(sequence) });
    }
    if (kind === 'hash') {
      const { hash, records } = await this.#store.shard(this.#shardOf(name)).contentHash();
      return send(response, 200, { hash, records });
    }
    if (kind === 'moves') {
      await this.#move(this.#shardOf(name), url.searchParams);
      return send(response, 202, { shard: Number(name) });
    }
    return send(response, 404, { error: 'known paths: /status, /keys, /batches, /moves, /hash' });
  }

  /** @param {string} name */
  #shardOf(name) {
    const shard = Number(name);
    if (/^\d+$/.test(name) && shard < this.#settings.shards) return shard;
    throw new RangeError(`a shard is a number below ${this.#settings.shards}`);
  }

  /**
   * @param {number} shard
   * @param {URLSearchParams} given
   */
  async #move(shard, given) {
    const { nodes } = this.#settings;
    const [to, from] = [given.get('to') ?? '', given.get('from') ?? undefined];
    if (!nodes.includes(to)) throw new RangeError(`to must be one of ${nodes.join(', ')}`);
    await this.#store.move(shard, to, from);
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
    const store = this.#store;
    if (request.method === 'PUT') {
      const data = Buffer.from(await bodyOf(request));
      const { sequence } = await store.put(key, BigInt(query.get('value') ?? 0), data);
      return send(response, 200, { sequence: String(sequence) });
    }
    if (request.method === 'DELETE') {
      const { sequence } = await store.delete(key);
      return send(response, 200, { sequence: String(sequence) });
    }
    if (query.has('newest')) await store.shard(store.shardOf(key)).barrier();
    const found = store.get(key);
    if (found === undefined) return send(response, 404, { error: `no record ${key}` });
    const data = Buffer.from(found.data).toString('utf8');
    return send(response, 200, { value: String(found.value), data });
  }

  /** The shards that the map assigns to this node. @returns {ShardStatus[]} */
  #status() {
    const store = this.#opened;
    if (store === undefined) return [];
    return store.map.shards.flatMap(({ replicas, primary }, shard) => {
      const isOpen = store.openShards.includes(shard);
      if (!isOpen && !replicas.includes(this.#address)) return [];
      const failure = store.failures.get(shard);
      const said = { shard, replicas, failure: failure && String(failure) };
      const none = { role: 'opening', position: '0', epoch: '0', lag: '0', records: 0, primary };
      if (!isOpen) return { ...said, ...none };
      const one = store.shard(shard);
      const { replica } = one.stats();
      return {
        ...said,
        role: replica.role,
        position: String(replica.position),
        epoch: String(replica.epoch),
        lag: String(replica.lag.entries),
        primary: replica.primaryAddress,
        records: one.size,
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
    const isWrong = WRONG_REQUESTS.some((type) => error instanceof type);
    const status = error instanceof NotPrimaryError ? 421 : isWrong ? 400 : 503;
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
