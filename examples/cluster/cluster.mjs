// @ts-check
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ServerProcess } from './server-process.mjs';

/** @import { Hosts } from './hosts.mjs' */

const NODE_PROGRAM = fileURLToPath(new URL('node-server.mjs', import.meta.url));

/** The path of etcd; undefined if it is not installed. */
export function findEtcd() {
  const given = process.env['LODESTORE_ETCD'];
  if (given !== undefined) return given;
  try {
    return execFileSync('sh', ['-c', 'command -v etcd'], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}

/** Each host has one etcd server and one lodestore node, which has some of the shards. */
export class Cluster {
  hosts;
  shards;
  copies;
  directory;
  /** @type {ServerProcess[]} */
  engines;
  /** @type {ServerProcess[]} */
  nodes;
  /** Addresses of the nodes. */
  addresses;

  /**
   * @param {Hosts} hosts
   * @param {string} directory  of all data; exists
   * @param {{ shards: number, etcd: string, copies?: number, checkpointMs?: number }} options
   */
  constructor(hosts, directory, { shards, etcd, copies = 2, checkpointMs = 15_000 }) {
    this.hosts = hosts;
    this.shards = shards;
    this.copies = copies;
    this.directory = directory;
    const { list } = hosts;
    this.addresses = list.map(({ address, node }) => `http://${address}:${node}`);
    const clients = list.map(({ address, client }) => `http://${address}:${client}`);
    const peers = list.map(({ address, peer }) => `http://${address}:${peer}`);
    const members = peers.map((peer, i) => `e${i}=${peer}`).join(',');
    this.engines = list.map((_, i) => {
      mkdirSync(join(directory, `etcd-${i}`), { recursive: true });
      const [client, peer] = [clients[i] ?? '', peers[i] ?? ''];
      const args = ['--name', `e${i}`, '--data-dir', join(directory, `etcd-${i}`, 'data')];
      args.push('--listen-client-urls', client, '--advertise-client-urls', client);
      args.push('--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer);
      args.push('--initial-cluster', members, '--initial-cluster-token', directory);
      args.push('--quota-backend-bytes', String(4 * 2 ** 30));
      return new ServerProcess(hosts, i, etcd, args, join(directory, `etcd-${i}`, 'log'));
    });
    this.nodes = list.map(({ address, node }, i) => {
      mkdirSync(join(directory, `node-${i}`), { recursive: true });
      const settings = {
        directory: this.dataOf(i),
        checkpoints: join(directory, 'checkpoints'),
        // The server on the same host comes first.
        endpoints: [...clients.slice(i), ...clients.slice(0, i)],
        nodes: this.addresses,
        shards,
        copies,
        host: address,
        port: node,
        checkpointMs,
      };
      const args = [NODE_PROGRAM, JSON.stringify(settings)];
      const log = join(directory, `node-${i}`, 'log');
      return new ServerProcess(hosts, i, process.execPath, args, log);
    });
  }

  /** The directory of a node's stores. @param {number} i */
  dataOf(i) {
    return join(this.directory, `node-${i}`, 'data');
  }

  /** Removes all data of a node, which must not run. @param {number} i */
  empty(i) {
    rmSync(this.dataOf(i), { recursive: true, force: true });
  }

  /** @param {AbortSignal} [signal]  ends the wait */
  async start(signal) {
    for (const engine of this.engines) engine.start();
    for (const node of this.nodes) node.start();
    await this.untilServing(signal);
  }

  /** Waits until each shard has a primary. @param {AbortSignal} [signal]  ends the wait */
  async untilServing(signal) {
    for (let i = 0; i < 600; i++) {
      if (signal?.aborted === true) return;
      const all = (await Promise.all(this.addresses.map(statusOf))).filter(
        (it) => it !== undefined,
      );
      const served = new Set(
        all.flatMap((it) => it.shards.filter(isServed).map(({ shard }) => shard)),
      );
      if (all.length === this.nodes.length && served.size === this.shards) return;
      await pause(100);
    }
    throw new Error(`the cluster does not serve after 60 s; its logs are in ${this.directory}`);
  }

  async stop() {
    await Promise.all([...this.nodes, ...this.engines].map((one) => one.kill()));
    this.hosts.remove();
  }
}

/** @param {{ role: string }} shard */
const isServed = ({ role }) => role === 'primary';

/**
 * The status of a node; undefined if it does not answer.
 * @param {string} address
 * @returns {Promise<{ shards: ShardStatus[] } | undefined>}
 */
export async function statusOf(address) {
  try {
    const response = await fetch(`${address}/status`, { signal: AbortSignal.timeout(2000) });
    return /** @type {{ shards: ShardStatus[] }} */ (await response.json());
  } catch {
    return undefined;
  }
}

/**
 * Moves a shard to another node, and away from its primary.
 * @param {ShardStatus} shard  of the primary
 * @param {string} to
 */
export async function move({ shard, primary = '' }, to) {
  const url = `${primary}/moves/${shard}?to=${to}&from=${primary}`;
  await fetch(url, { method: 'POST', signal: AbortSignal.timeout(2000) }).catch(() => undefined);
}

/**
 * One replica of a shard. Numbers of 64 bits are strings.
 * @typedef {object} ShardStatus
 * @property {number} shard
 * @property {readonly string[]} replicas  addresses of the nodes that have the shard
 * @property {string} role  `opening` until it serves
 * @property {string} position
 * @property {string} epoch
 * @property {string} lag  entries
 * @property {string | undefined} [primary]  address
 * @property {number} records
 * @property {string | undefined} [failure]
 */
