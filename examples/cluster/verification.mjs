// @ts-check
import { setTimeout as pause } from 'node:timers/promises';
import { statusOf } from './cluster.mjs';

/** @import { Cluster, ShardStatus } from './cluster.mjs' */

/**
 * Waits until all replicas of each shard have the same position. Writers must have stopped.
 * @param {Cluster} cluster
 * @returns {Promise<ShardStatus[]>} the primaries
 */
export async function settle(cluster) {
  let last = '';
  for (let i = 0; i < 1200; i++) {
    const all = await Promise.all(cluster.addresses.map(statusOf));
    const shards = Array.from({ length: cluster.shards }, (_, shard) =>
      all.flatMap((it) => it?.shards.filter((one) => one.shard === shard) ?? []),
    );
    last = JSON.stringify(shards);
    const isEqual = shards.every(
      (replicas) =>
        replicas.every(
          (it) => it.role !== 'opening' && it.lag === '0' && it.replicas.length === replicas.length,
        ) &&
        new Set(replicas.map((it) => it.position)).size === 1 &&
        replicas.filter((it) => it.role === 'primary').length === 1,
    );
    if (isEqual) {
      return shards.flatMap((replicas) => replicas.filter((it) => it.role === 'primary'));
    }
    await pause(100);
  }
  throw new Error(`the nodes do not agree after two minutes: ${last}`);
}

/**
 * The content hashes of each shard on all nodes that have it.
 * @param {readonly ShardStatus[]} primaries
 * @returns {Promise<string[][]>}
 */
export async function hashesOf(primaries) {
  return Promise.all(
    primaries.map(({ shard, replicas }) =>
      Promise.all(
        replicas.map(async (address) => {
          const response = await fetch(`${address}/hash/${shard}`);
          const { hash } = /** @type {{ hash: string }} */ (await response.json());
          return hash;
        }),
      ),
    ),
  );
}

/**
 * Reads every expected record from the nodes in turn, or from the node that an answer names.
 * Returns the keys that are missing or older than acknowledged.
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
      const { value } = await recordAt(address, key);
      if (value === undefined || BigInt(value) < least) lost.push(key);
    }
  };
  await Promise.all(Array.from({ length: 8 }, read));
  return lost;
}

/**
 * @param {string | undefined} address
 * @param {bigint} key
 * @returns {Promise<{ value?: string, primary?: string }>}
 */
async function recordAt(address, key) {
  const response = await fetch(`${address}/keys/${key}`);
  const found = /** @type {{ value?: string, primary?: string }} */ (await response.json());
  return response.status === 421 && found.primary !== address
    ? recordAt(found.primary, key)
    : found;
}
