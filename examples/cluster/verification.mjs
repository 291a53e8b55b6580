// @ts-check
import { setTimeout as pause } from 'node:timers/promises';
import { statusOf } from './cluster.mjs';

/** @import { Cluster, ShardStatus } from './cluster.mjs' */

/**
 * Waits until all nodes have the same position of each shard. Writers must have stopped.
 * @param {Cluster} cluster
 * @returns {Promise<ShardStatus[]>} the primaries
 */
export async function settle(cluster) {
  let last = '';
  for (let i = 0; i < 1200; i++) {
    const all = await Promise.all(cluster.addresses.map(statusOf));
    const shards = Array.from({ length: cluster.shards }, (_, shard) =>
      all.map((it) => it?.shards[shard]),
    );
    last = JSON.stringify(shards);
    const isEqual = shards.every(
      (replicas) =>
        replicas.every((it) => it !== undefined && it.role !== 'opening' && it.lag === '0') &&
        new Set(replicas.map((it) => it?.position)).size === 1 &&
        replicas.filter((it) => it?.role === 'primary').length === 1,
    );
    if (isEqual) {
      const primaries = shards.map((replicas) => replicas.find((it) => it?.role === 'primary'));
      return /** @type {ShardStatus[]} */ (primaries);
    }
    await pause(100);
  }
  throw new Error(`the nodes do not agree after two minutes: ${last}`);
}

/**
 * The content hashes of each shard on all nodes.
 * @param {Cluster} cluster
 * @returns {Promise<string[][]>}
 */
export async function hashesOf(cluster) {
  return Promise.all(
    Array.from({ length: cluster.shards }, (_, shard) =>
      Promise.all(
        cluster.addresses.map(async (address) => {
          const response = await fetch(`${address}/hash/${shard}`);
          const { hash } = /** @type {{ hash: string }} */ (await response.json());
          return hash;
        }),
      ),
    ),
  );
}

/**
 * Reads every expected record from the nodes in turn. Returns the keys that are missing or older
 * than acknowledged.
 * @param {Cluster} cluster
 * @param {ReadonlyMap<bigint, bigint>} expected
 */
export async function lostKeys(cluster, expected) {
  /** @type {bigint[]} */
  const lost = [];
  const keys = [...expected];
  const read = async () => {
    for (let next = keys.pop(); next !== undefined; next = keys.pop()) {
      const [key, least] = next;
      const address = cluster.addresses[keys.length % cluster.addresses.length];
      const response = await fetch(`${address}/keys/${key}`);
      const { value } = /** @type {{ value?: string }} */ (await response.json());
      if (value === undefined || BigInt(value) < least) lost.push(key);
    }
  };
  await Promise.all(Array.from({ length: 8 }, read));
  return lost;
}
