import { onAbort } from '../../base/abort.ts';
import { requireOpening } from '../../base/fields.ts';
import { AbortedError, StoreClosedError } from '../../base/errors.ts';
import { pathOf } from '../../base/path.ts';
import { absolutePathOf } from '../../fs/absolute-path.ts';
import type { Condition } from '../../store/batch/condition.ts';
import type { Inserted, InsertOptions } from '../../store/batch/insert-options.ts';
import { packUpdatesNow, toSource, type Update } from '../../store/batch/updates.ts';
import { WriteBatch } from '../../store/batch/write-batch.ts';
import { withOutcome } from '../../store/batch/batch-queue.ts';
import type { BoundOptions, RangeOptions } from '../../table/layer/key-range.ts';
import type { TableRecord } from '../../table/layer/table-record.ts';
import { inOrder } from '../../store/writer.ts';
import { NotPrimaryError } from '../log/log-errors.ts';
import type { ReplicatedStore } from '../node/replicated-store.ts';
import type { ReplicaEnvironment } from '../node/replica-environment.ts';
import { shardOfBatch } from './batch-shard.ts';
import { mergeEntries } from './merged-entries.ts';
import { ShardAssignments } from './shard-assignments.ts';
import { machineEnvironment } from './shard-environment.ts';
import { ShardMapKeeper } from './shard-map-keeper.ts';
import { requireShard, shardOfKey, type ShardMap } from './shard-map.ts';
import { NodeShards } from './node-shards.ts';
import { redirected } from './redirect.ts';
import {
  checkSharded,
  DEFAULT_OPEN_MS,
  DEFAULT_REFRESH_MS,
  mapToCreate,
  type ShardedOptions,
} from './sharded-options.ts';

/** Internal: `ShardedStore.open` in another environment. */
export let openShardedIn: (
  environment: ReplicaEnvironment,
  directory: string | URL,
  options: ShardedOptions,
) => Promise<ShardedStore>;

const DEFAULT_MERGE_THREADS = 2;

/**
 * The shards of a sharded store on this node. Each is a `ReplicatedStore` with its own log and
 * directory. A map in the engine assigns shards to nodes; this node opens and closes shards as the
 * map changes.
 *
 * A batch is atomic within one shard; a batch with keys of several shards is refused. Iterators
 * merge the shards; the states that they show are from nearby moments, not from one.
 *
 * A shard stays writable while it moves. `move` adds the new node to the map. That node opens the
 * shard, reads to the end of its log, and takes over, which fences the old primary. Then the map
 * names the new primary, and the old node closes the shard. Writers get `NotPrimaryError` with the
 * new address and repeat the write there.
 */
export class ShardedStore implements AsyncDisposable {
  readonly #environment: ReplicaEnvironment;
  readonly #options: ShardedOptions;
  readonly #keeper: ShardMapKeeper;
  readonly #closing: AbortController = new AbortController();
  readonly #shards: NodeShards;
  readonly #assignments: ShardAssignments;
  #mapFailure: Error | undefined;
  #watching: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  static {
    openShardedIn = async (environment, directory, options) => {
      checkSharded(options);
      const path = absolutePathOf(pathOf(directory, 'directory'), 'directory');
      const store = new ShardedStore(environment, path, options);
      try {
        await store.#start();
      } catch (error) {
        await store.close().catch(() => undefined);
        if (options.signal?.aborted !== true) throw error;
        throw new AbortedError('opening was aborted', { cause: options.signal.reason });
      }
      return store;
    };
  }

  private constructor(environment: ReplicaEnvironment, directory: string, options: ShardedOptions) {
    requireOpening(environment, 'ShardedStore');
    this.#environment = environment;
    this.#options = options;
    const { signal } = this.#closing;
    const { clock } = environment;
    const { refreshMs = DEFAULT_REFRESH_MS } = options;
    const keeper = new ShardMapKeeper(options.map, environment, signal);
    this.#keeper = keeper;
    this.#shards = new NodeShards({ environment, directory, options, keeper, signal });
    this.#assignments = new ShardAssignments({ keeper, clock, refreshMs, signal });
  }

  /**
   * Opens the shards that the map assigns to `options.address`, in directories below `directory`.
   * Creates the map if it does not exist. Resolves when each of these shards is open or has failed,
   * at the latest `commitTimeoutMs` after the map was read. The others are opened meanwhile.
   * @throws TypeError, RangeError for options; UnfitEngineError for a map of another version;
   *   AbortedError, after the shards that were open are closed
   */
  static open(directory: string | URL, options: ShardedOptions): Promise<ShardedStore> {
    const environment = machineEnvironment(options.mergeThreads ?? DEFAULT_MERGE_THREADS);
    return openShardedIn(environment, directory, options);
  }

  async #start(): Promise<void> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    const stop = (): void => this.#closing.abort(new StoreClosedError());
    const stopListening = signal && onAbort(signal, stop);
    try {
      await this.#keeper.open(() => mapToCreate(this.#options));
      await this.#firstLook();
      // A shard whose open was aborted counts as failed.
      signal?.throwIfAborted();
    } finally {
      stopListening?.();
    }
    this.#shards.begin();
    this.#watching = this.#watch();
  }

  /** Opens the assigned shards. Does not wait longer than `commitTimeoutMs`. */
  async #firstLook(): Promise<void> {
    const { commitTimeoutMs = DEFAULT_OPEN_MS } = this.#options;
    const over = new AbortController();
    const late = this.#environment.clock.sleep(commitTimeoutMs, over.signal);
    await Promise.race([this.#shards.followMap(), late]);
    over.abort();
  }

  async #watch(): Promise<void> {
    const { refreshMs = DEFAULT_REFRESH_MS } = this.#options;
    const { signal } = this.#closing;
    let reading: Promise<void> | undefined;
    for (;;) {
      await this.#environment.clock.sleep(refreshMs, signal).catch(() => undefined);
      if (signal.aborted) break;
      // While the engine of the map is away, the shards are followed by the known map.
      if (reading !== undefined) void this.#shards.followMap();
      reading ??= this.#readMap().finally(() => {
        reading = undefined;
      });
    }
    await reading;
  }

  async #readMap(): Promise<void> {
    try {
      await this.#keeper.refresh();
      this.#mapFailure = undefined;
    } catch (error) {
      this.#mapFailure = error as Error;
    }
    void this.#shards.followMap();
  }

  /** The newest map that this node has read. */
  get map(): ShardMap {
    return this.#keeper.map;
  }

  /**
   * Why this node could not read the map at its last look, and goes by the one that it knows;
   * undefined if it could. While the engine does not answer, the look goes on.
   */
  get mapFailure(): Error | undefined {
    return this.#mapFailure;
  }

  /** Numbers of the shards that are open on this node. */
  get openShards(): readonly number[] {
    return this.#shards.numbers;
  }

  /** Errors of assigned shards that could not be opened or followed, by number. */
  get failures(): ReadonlyMap<number, Error> {
    return this.#shards.failures;
  }

  /** The shard of a key. Throws a TypeError or RangeError if the key is not a u64. */
  shardOf(key: bigint | number): number {
    return shardOfKey(this.#keeper.map, key);
  }

  /**
   * A shard on this node.
   * @throws NotPrimaryError with the address of a node that has it; RangeError for a shard that the
   *   map does not have
   */
  shard(shard: number): ReplicatedStore {
    if (this.#closing.signal.aborted) throw new StoreClosedError();
    const open = this.#shards.get(shard);
    if (open !== undefined) return open;
    requireShard(this.#keeper.map, shard);
    const { primary, replicas } = this.#keeper.map.shards[shard]!;
    // This node may have the shard, and not have opened it yet.
    const { address: own } = this.#options;
    const address = [primary, ...replicas].find((one) => one !== undefined && one !== own);
    const message = `shard ${shard} is not on this node; it is at ${address ?? 'no known node'}`;
    throw new NotPrimaryError(message, address, { outcome: 'not-applied' });
  }

  /** Returns the record of `key`, as `ReplicatedStore.get` of its shard. Throws as `shard`. */
  get(key: bigint | number): TableRecord | undefined {
    return this.shard(this.shardOf(key)).get(key);
  }

  /** True if `key` has a record. Throws as `shard`. */
  has(key: bigint | number): boolean {
    return this.shard(this.shardOf(key)).has(key);
  }

  /** Returns the value of `key` without its data. Throws as `shard`. */
  valueOf(key: bigint | number): bigint | undefined {
    return this.shard(this.shardOf(key)).valueOf(key);
  }

  #redirected<T>(shard: number, write: Promise<T>): Promise<T> {
    return redirected(write, this.#options.address, () => this.#keeper.map.shards[shard]!);
  }

  /**
   * Applies a batch whose keys and ranges all belong to one shard, as
   * `ReplicatedStore.insertBatch`.
   * @throws AcrossShardsError; NotPrimaryError with the address of the primary; all as rejections
   */
  insertBatch(
    updates: WriteBatch | Iterable<Update>,
    options: InsertOptions = {},
  ): Promise<Inserted> {
    try {
      const source = toSource(updates);
      const batch = source instanceof WriteBatch ? source : packUpdatesNow(source);
      const shard = shardOfBatch(this.#keeper.map, batch) ?? this.openShards[0] ?? 0;
      return this.#redirected(shard, this.shard(shard).insertBatch(batch, options));
    } catch (error) {
      return Promise.reject(withOutcome(error));
    }
  }

  /** Inserts a batch of one put. */
  put(
    key: bigint | number,
    value: bigint | number,
    data?: Uint8Array,
    options: InsertOptions & Condition = {},
  ): Promise<Inserted> {
    try {
      const shard = this.shardOf(key);
      return this.#redirected(shard, this.shard(shard).put(key, value, data, options));
    } catch (error) {
      return Promise.reject(withOutcome(error));
    }
  }

  /** Inserts a batch of one delete. */
  delete(key: bigint | number, options: InsertOptions & Condition = {}): Promise<Inserted> {
    try {
      const shard = this.shardOf(key);
      return this.#redirected(shard, this.shard(shard).delete(key, options));
    } catch (error) {
      return Promise.reject(withOutcome(error));
    }
  }

  /**
   * Inserts a batch of one `WriteBatch.deleteRange`. The range must lie within one shard: with
   * routing by hash only a range of one key does. To empty a range of several shards, call
   * `deleteRange` of each shard on its primary; the shards do not change at one moment then.
   * @throws as `insertBatch`
   */
  deleteRange(range: BoundOptions, options: InsertOptions = {}): Promise<Inserted> {
    try {
      return this.insertBatch(new WriteBatch().deleteRange(range), options);
    } catch (error) {
      return Promise.reject(withOutcome(error));
    }
  }

  /**
   * Iterates over keys and records of all shards in key order. Each shard shows its state at this
   * call. Throws as `shard` if a shard is not on this node.
   */
  entries(range: RangeOptions = {}): IterableIterator<[bigint, TableRecord]> {
    const sources = this.#keeper.map.shards.map((_, shard) => this.shard(shard).entries(range));
    return mergeEntries(sources, range.reverse === true, range.limit ?? Infinity);
  }

  /**
   * Moves a shard to another node: that node joins, catches up and takes over. Resolves when the
   * map requests it; `map` shows when it is done. `from` drops the shard once the new primary is
   * announced, unless a later move wants the shard there.
   * @throws RangeError for a shard that the map does not have; TypeError for an empty address
   */
  move(shard: number, to: string, from?: string): Promise<void> {
    return this.#assignments.move(shard, to, from);
  }

  /**
   * Removes a shard from a node that is neither its primary nor about to be: the node closes it.
   * @throws TypeError for such a node; RangeError for a shard that the map does not have
   */
  remove(shard: number, from: string): Promise<void> {
    return this.#assignments.remove(shard, from);
  }

  /** Closes all shards and the map. Idempotent. */
  async close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#closing.abort(new StoreClosedError());
    await this.#watching;
    await inOrder([() => this.#shards.close(), () => this.#options.map.close()]);
  }
}
