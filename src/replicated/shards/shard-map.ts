import { splitU64, u64Halves, checkU64 } from '../../base/u64.ts';

/** How keys are distributed over shards. Fixed when the map is created. */
export type ShardRouting =
  | { readonly kind: 'hash' }
  /** Shard `i` has the keys in [`starts[i]`, `starts[i + 1]`); `starts[0]` is 0. */
  | { readonly kind: 'range'; readonly starts: readonly bigint[] };

/** One shard of a map. */
export interface ShardEntry {
  /** Address of the node that took over last; undefined before the first takeover. */
  readonly primary: string | undefined;
  /** Epoch of that takeover. */
  readonly epoch: bigint;
  /** Addresses of the nodes that have the shard. */
  readonly replicas: readonly string[];
  /** The node that must take over; undefined if none. */
  readonly wanted: string | undefined;
}

/** Which nodes have which shard, and the primary of each. */
export interface ShardMap {
  readonly routing: ShardRouting;
  readonly shards: readonly ShardEntry[];
}

export const MAX_SHARDS = 1_024;

/** A map in which each shard is on `copies` of the nodes, evenly distributed. */
export function newShardMap(
  routing: ShardRouting,
  shards: number,
  nodes: readonly string[],
  copies: number,
): ShardMap {
  const entries = Array.from({ length: shards }, (_, shard): ShardEntry => {
    const count = Math.min(copies, nodes.length);
    const replicas = Array.from({ length: count }, (__, i) => nodes[(shard + i) % nodes.length]!);
    return { primary: undefined, epoch: 0n, replicas, wanted: replicas[0] };
  });
  return { routing, shards: entries };
}

/** @throws RangeError if the map has no shard of this number */
export function requireShard({ shards }: ShardMap, shard: number): void {
  if (Number.isInteger(shard) && shard >= 0 && shard < shards.length) return;
  throw new RangeError(`shard must be an integer from 0 to ${shards.length - 1}`);
}

/** The shard of a key. The hash is the same in every process and version. */
export function shardOfKey({ routing, shards }: ShardMap, key: bigint | number): number {
  if (routing.kind === 'hash') {
    splitU64(key, 'key');
    return hashOfHalves(u64Halves[0]!, u64Halves[1]!) % shards.length;
  }
  const whole = checkU64(key, 'key');
  let low = 0;
  let high = routing.starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (routing.starts[middle]! <= whole) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The finalizer of MurmurHash3 over both halves. */
function hashOfHalves(low: number, high: number): number {
  let hash = low ^ Math.imul(high, 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
