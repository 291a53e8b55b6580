import type { ReplicaClock } from '../node/replica-clock.ts';
import type { ShardMapKeeper } from './shard-map-keeper.ts';
import { requireShard, type ShardEntry } from './shard-map.ts';

export interface ShardAssignmentsParts {
  readonly keeper: ShardMapKeeper;
  readonly clock: ReplicaClock;
  /** Milliseconds between looks at the map. */
  readonly refreshMs: number;
  /** Ends all waiting. */
  readonly signal: AbortSignal;
}

/**
 * Assigns shards to nodes, by changes of the map. A move has three steps: the map names the new
 * node as a replica and as wanted, that node takes over and announces itself, and the map forgets
 * the old node. Moves of one shard may overlap. The last one decides: a node that it wants is not
 * removed by the third step of an earlier one.
 */
export class ShardAssignments {
  readonly #parts: ShardAssignmentsParts;

  constructor(parts: ShardAssignmentsParts) {
    this.#parts = parts;
  }

  /** Resolves after the first step. The others follow. */
  async move(shard: number, to: string, from?: string): Promise<void> {
    const { keeper } = this.#parts;
    requireShard(keeper.map, shard);
    requireAddress(to, 'to');
    if (from !== undefined) requireAddress(from, 'from');
    const joined = (entry: ShardEntry): ShardEntry => ({
      ...entry,
      replicas: [...new Set([...entry.replicas, to])],
      wanted: to,
    });
    await keeper.update(shard, joined);
    if (from === undefined || from === to) return;
    void this.#removeLater(shard, to, from).catch(() => undefined);
  }

  /** Waits until `to` has taken over. Ends if another move wants another node. */
  async #removeLater(shard: number, to: string, from: string): Promise<void> {
    const { keeper, clock, refreshMs, signal } = this.#parts;
    const entry = (): ShardEntry => keeper.map.shards[shard]!;
    while (entry().primary !== to) {
      if (entry().wanted !== to) return;
      await clock.sleep(refreshMs, signal);
      await keeper.refresh();
    }
    await this.remove(shard, from);
  }

  async remove(shard: number, from: string): Promise<void> {
    const { keeper } = this.#parts;
    requireShard(keeper.map, shard);
    requireAddress(from, 'from');
    await keeper.update(shard, (entry) => {
      if (entry.primary === from) {
        throw new TypeError(`${from} is the primary of shard ${shard}; move it first`);
      }
      if (entry.wanted === from) {
        throw new TypeError(`shard ${shard} is moving to ${from}; move it elsewhere first`);
      }
      const replicas = entry.replicas.filter((address) => address !== from);
      return replicas.length === entry.replicas.length ? undefined : { ...entry, replicas };
    });
  }
}

function requireAddress(address: unknown, name: string): void {
  if (typeof address === 'string' && address !== '') return;
  throw new TypeError(`${name} must be an address: a string that is not empty`);
}
