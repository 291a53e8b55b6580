import { resolve } from 'node:path';
import { requireOpening } from '../../base/fields.ts';
import { AbortedError, PositionExpiredError, StoreClosedError } from '../../base/errors.ts';
import { pathOf } from '../../base/path.ts';
import type { Condition } from '../../store/batch/condition.ts';
import type { Inserted, InsertOptions } from '../../store/batch/insert-options.ts';
import { packUpdatesNow, toSource, type Update } from '../../store/batch/updates.ts';
import { WriteBatch } from '../../store/batch/write-batch.ts';
import { withOutcome } from '../../store/batch/batch-queue.ts';
import type { BoundOptions, RangeOptions } from '../../table/layer/key-range.ts';
import type { TableRecord } from '../../table/layer/table-record.ts';
import { LogLostError, NotPrimaryError } from '../log/log-errors.ts';
import type { ReplicatedStore } from '../node/replicated-store.ts';
import type { ReplicaEnvironment } from '../node/replica-environment.ts';
import { shardOfBatch } from './batch-shard.ts';
import { JobSlots } from './limited-runner.ts';
import { mergeEntries } from './merged-entries.ts';
import { ShardAssignments } from './shard-assignments.ts';
import { machineEnvironment } from './shard-environment.ts';
import { ShardMapKeeper } from './shard-map-keeper.ts';
import { requireShard, shardOfKey, type ShardEntry, type ShardMap } from './shard-map.ts';
import { announcement, openShard, type OpenShard } from './open-shard.ts';
import {
  checkSharded,
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

/** Number of shards that are opened or closed at a time. */
const OPENS_AT_ONCE = 16;

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
  readonly #directory: string;
  readonly #options: ShardedOptions;
  readonly #keeper: ShardMapKeeper;
  readonly #closing: AbortController = new AbortController();
  readonly #shards: Map<number, OpenShard> = new Map();
  readonly #failures: Map<number, Error> = new Map();
  readonly #assignments: ShardAssignments;
  readonly #slots: JobSlots = new JobSlots(OPENS_AT_ONCE);
  /** Shards that are being opened, closed or announced. */
  readonly #following: Map<number, Promise<void>> = new Map();
  #watching: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  static {
    openShardedIn = async (environment, directory, options) => {
      checkSharded(options);
      const path = resolve(pathOf(directory, 'directory'));
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
    this.#directory = directory;
    this.#options = options;
    const { signal } = this.#closing;
    const { refreshMs = DEFAULT_REFRESH_MS } = options;
    this.#keeper = new ShardMapKeeper(options.map, environment, signal);
    this.#assignments = new ShardAssignments({
      keeper: this.#keeper,
      clock: environment.clock,
      refreshMs,
      signal,
    });
  }

  /**
   * Opens the shards that the map assigns to `options.address`, in directories below `directory`.
   * Creates the map if it does not exist. Resolves when each of these shards is open or has failed.
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
    signal?.addEventListener('abort', stop, { once: true });
    try {
      await this.#keeper.open(() => mapToCreate(this.#options));
      await this.#followMap();
      // A shard whose open was aborted counts as failed.
      signal?.throwIfAborted();
    } finally {
      signal?.removeEventListener('abort', stop);
    }
    this.#watching = this.#watch();
  }

  async #watch(): Promise<void> {
    const { refreshMs = DEFAULT_REFRESH_MS } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await this.#environment.clock.sleep(refreshMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      await this.#keeper.refresh().catch(() => undefined);
      // A shard that cannot be opened for a while does not keep the others waiting.
      void this.#followMap();
    }
  }

  /** Opens assigned shards, closes others, and takes over where the map wants this node. */
  async #followMap(): Promise<void> {
    await Promise.all(this.#keeper.map.shards.map((_, shard) => this.#follow(shard)));
  }

  /** Never rejects. Joins a run that has started. */
  #follow(shard: number): Promise<void> {
    const running = this.#following.get(shard);
    if (running !== undefined) return running;
    const run = async (): Promise<void> => {
      const leave = await this.#slots.take();
      try {
        if (!this.#closing.signal.aborted) await this.#followShard(shard);
        this.#failures.delete(shard);
      } catch (error) {
        this.#failures.set(shard, error as Error);
      } finally {
        this.#following.delete(shard);
        leave();
      }
    };
    const following = run();
    this.#following.set(shard, following);
    return following;
  }

  async #followShard(shard: number): Promise<void> {
    const { address } = this.#options;
    const entry = this.#keeper.map.shards[shard]!;
    const open = this.#shards.get(shard);
    if (!entry.replicas.includes(address)) {
      this.#shards.delete(shard);
      await open?.store.close();
      return;
    }
    const { store, elector } = open ?? (await this.#openShard(shard));
    await this.#requireSound(shard, store);
    if (entry.wanted === address && store.role === 'replica') {
      store.promote({ signal: this.#closing.signal }).catch((error: unknown) => {
        this.#failures.set(shard, error as Error);
      });
    }
    const isNews = entry.primary !== address || entry.wanted === address;
    if (store.role === 'primary' && isNews) await this.#announce(shard, { store, elector });
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
    const opened = await openShard({
      environment: this.#environment,
      directory: this.#directory,
      options: this.#options,
      shard,
      entry: () => this.#keeper.map.shards[shard]!,
      signal: this.#closing.signal,
    });
    this.#shards.set(shard, opened);
    opened.store.on('roleChanged', (role) => {
      if (role === 'primary') this.#announce(shard, opened).catch(() => undefined);
    });
    return opened;
  }

  /** Names this node in the map as the primary. */
  async #announce(shard: number, open: OpenShard): Promise<void> {
    const { address } = this.#options;
    const update = (entry: ShardEntry): ShardEntry | undefined =>
      announcement(entry, address, open);
    await this.#keeper.update(shard, update);
  }

  /** The newest map that this node has read. */
  get map(): ShardMap {
    return this.#keeper.map;
  }

  /** Numbers of the shards that are open on this node. */
  get openShards(): readonly number[] {
    return [...this.#shards.keys()].sort((a, b) => a - b);
  }

  /** Errors of assigned shards that could not be opened or followed, by number. */
  get failures(): ReadonlyMap<number, Error> {
    return this.#failures;
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
    if (open !== undefined) return open.store;
    requireShard(this.#keeper.map, shard);
    const { primary, replicas } = this.#keeper.map.shards[shard]!;
    // This node may have the shard, and not have opened it yet.
    const address = [primary, ...replicas].find((one) => one !== this.#options.address);
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
      return this.shard(shard).insertBatch(batch, options);
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
      return this.shard(this.shardOf(key)).put(key, value, data, options);
    } catch (error) {
      return Promise.reject(withOutcome(error));
    }
  }

  /** Inserts a batch of one delete. */
  delete(key: bigint | number, options: InsertOptions & Condition = {}): Promise<Inserted> {
    try {
      return this.shard(this.shardOf(key)).delete(key, options);
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
    await Promise.all(this.#following.values());
    const open = [...this.#shards.values()];
    const closed = await Promise.allSettled(open.map(({ store }) => store.close()));
    this.#shards.clear();
    await this.#options.map.close();
    const failed = closed.find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
}
