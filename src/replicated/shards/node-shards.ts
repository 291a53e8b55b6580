import { PositionExpiredError } from '../../base/errors.ts';
import { LogLostError } from '../log/log-errors.ts';
import type { ReplicaEnvironment } from '../node/replica-environment.ts';
import { promoteWithin, type ReplicatedStore } from '../node/replicated-store.ts';
import { Signal } from '../node/signal.ts';
import { JobSlots } from './limited-runner.ts';
import { announcement, openShard, type OpenShard } from './open-shard.ts';
import type { ShardEntry } from './shard-map.ts';
import type { ShardMapKeeper } from './shard-map-keeper.ts';
import type { ShardedOptions } from './sharded-options.ts';

export interface NodeShardsParts {
  readonly environment: ReplicaEnvironment;
  /** The directory of all shards. */
  readonly directory: string;
  readonly options: ShardedOptions;
  readonly keeper: ShardMapKeeper;
  /** Aborted before `close` is called. */
  readonly signal: AbortSignal;
}

/** Number of shards that are connected, restored and recovered at a time. */
const OPENS_AT_ONCE = 16;

/**
 * The shards of this node. Opens and closes them as the map assigns them, takes over where the map
 * wants this node, and names this node in the map where it is the primary. A shard that cannot be
 * opened or closed for a while does not keep the others waiting.
 */
export class NodeShards {
  readonly #parts: NodeShardsParts;
  readonly #shards: Map<number, OpenShard> = new Map();
  readonly #failures: Map<number, Error> = new Map();
  readonly #slots: JobSlots = new JobSlots(OPENS_AT_ONCE);
  /** Shards that are being opened, closed or announced. */
  readonly #following: Map<number, Promise<void>> = new Map();
  /** While opening, no shard takes over: the program could not serve it yet. */
  #state: 'opening' | 'serving' = 'opening';
  readonly #begun: Signal = new Signal();

  constructor(parts: NodeShardsParts) {
    this.#parts = parts;
  }

  get(shard: number): ReplicatedStore | undefined {
    return this.#shards.get(shard)?.store;
  }

  get numbers(): readonly number[] {
    return [...this.#shards.keys()].sort((a, b) => a - b);
  }

  /** Errors of assigned shards that could not be opened or followed, by number. */
  get failures(): ReadonlyMap<number, Error> {
    return this.#failures;
  }

  /** From now on, the shards of this node are elected and promoted. */
  begin(): void {
    this.#state = 'serving';
    this.#begun.resolve();
    void this.followMap();
  }

  /** Opens assigned shards, closes others, and takes over where the map wants this node. */
  async followMap(): Promise<void> {
    await Promise.all(this.#parts.keeper.map.shards.map((_, shard) => this.#follow(shard)));
  }

  /** Never rejects. Joins a run that has started. */
  #follow(shard: number): Promise<void> {
    const running = this.#following.get(shard);
    if (running !== undefined) return running;
    const following = this.#run(shard).finally(() => this.#following.delete(shard));
    this.#following.set(shard, following);
    return following;
  }

  async #run(shard: number): Promise<void> {
    try {
      if (!this.#parts.signal.aborted) await this.#followShard(shard);
      this.#failures.delete(shard);
    } catch (error) {
      this.#failures.set(shard, error as Error);
    }
  }

  async #followShard(shard: number): Promise<void> {
    const { address } = this.#parts.options;
    const open = this.#shards.get(shard);
    if (!this.#entry(shard).replicas.includes(address)) {
      this.#shards.delete(shard);
      await open?.store.close();
      return;
    }
    const { store, elector } = open ?? (await this.#openShard(shard));
    await this.#requireSound(shard, store);
    // While the shard was opened, the map may have changed.
    const entry = this.#entry(shard);
    const isWanted = entry.wanted === address && this.#state === 'serving';
    if (isWanted && store.role === 'replica') this.#promote(shard, store);
    const isNews = entry.primary !== address || entry.wanted === address;
    if (store.role === 'primary' && isNews) await this.#announce(shard, { store, elector });
  }

  /** The current entry of the map. */
  #entry(shard: number): ShardEntry {
    return this.#parts.keeper.map.shards[shard]!;
  }

  /**
   * Throws the failure of a shard. A shard whose log or checkpoints must be repaired stays open for
   * reads; any other is closed, and opened again at the next look at the map.
   */
  async #requireSound(shard: number, store: ReplicatedStore): Promise<void> {
    const { failure } = store.stats().replica;
    if (failure === undefined) return;
    const isReadable = failure instanceof LogLostError || failure instanceof PositionExpiredError;
    if (!isReadable) {
      this.#shards.delete(shard);
      await store.close().catch(() => undefined);
    }
    throw failure;
  }

  async #openShard(shard: number): Promise<OpenShard> {
    const host = { ...this.#parts, slots: this.#slots, begun: this.#begun };
    const opened = await openShard(host, shard, () => this.#entry(shard));
    this.#shards.set(shard, opened);
    opened.store.on('roleChanged', (role) => {
      if (role === 'primary') this.#announce(shard, opened).catch(() => undefined);
    });
    return opened;
  }

  /** Takes over, unless the map wants another node before that. */
  #promote(shard: number, store: ReplicatedStore): void {
    const { keeper, options, signal } = this.#parts;
    const isWanted = (): boolean => this.#entry(shard).wanted === options.address;
    // The node that has appended meanwhile may be the one that the map wants now.
    const beforeRetry = (): Promise<void> => keeper.refresh();
    const promoted = promoteWithin(store, signal, { isWanted, beforeRetry });
    promoted.catch((error: unknown) => this.#failures.set(shard, error as Error));
  }

  /** Names this node in the map as the primary. */
  async #announce(shard: number, open: OpenShard): Promise<void> {
    const { keeper, options } = this.#parts;
    const update = (entry: ShardEntry): ShardEntry | undefined =>
      announcement(entry, options.address, open);
    await keeper.update(shard, update);
  }

  /** Closes all shards. Rejects with the first failure. */
  async close(): Promise<void> {
    await Promise.all(this.#following.values());
    const open = [...this.#shards.values()];
    const closed = await Promise.allSettled(open.map(({ store }) => store.close()));
    this.#shards.clear();
    const failed = closed.find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
}
