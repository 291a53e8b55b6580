import { LogUnavailableError } from '../log/log-errors.ts';
import { backoffMs } from '../node/appender.ts';
import type { ReplicaEnvironment } from '../node/replica-environment.ts';
import type { ShardEntry, ShardMap } from './shard-map.ts';
import { decodeShardMap, encodeShardMap } from './shard-map-format.ts';
import type { ShardMapStore } from './shard-map-store.ts';

/** Of the nonce by which a node recognises its own replacement of the map. */
const MAP_NONCE_BYTES = 12;

/**
 * A map of a lower version than the known one is taken after so many reads that found one. The
 * first may be answers of a server that lags.
 */
const OLDER_READS = 10;

/** A change of one shard's entry that waits for a replacement of the map. */
interface PendingChange {
  readonly shard: number;
  readonly change: (entry: ShardEntry) => ShardEntry | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * This node's copy of the shard map. The map changes by compare-and-set in the engine. A
 * replacement without an answer is identified by its nonce. The map is only a hint: the shared log
 * of a shard decides who its primary is, so a stale map costs time but never loses a batch.
 */
export class ShardMapKeeper {
  readonly #store: ShardMapStore;
  readonly #environment: ReplicaEnvironment;
  readonly #signal: AbortSignal;
  #map: ShardMap | undefined;
  #version = 0n;
  /** Number of reads in a row that found a lower version. */
  #olderReads = 0;
  readonly #pending: PendingChange[] = [];
  #isReplacing = false;

  /** `signal` ends all calls: they reject with its reason. */
  constructor(store: ShardMapStore, environment: ReplicaEnvironment, signal: AbortSignal) {
    this.#store = store;
    this.#environment = environment;
    this.#signal = signal;
  }

  /** The newest map that was read. */
  get map(): ShardMap {
    if (this.#map === undefined) throw new TypeError('the shard map has not been read');
    return this.#map;
  }

  /** Reads the map. Creates it if it does not exist. */
  async open(create: () => ShardMap): Promise<void> {
    while (this.#map === undefined) {
      await this.refresh();
      if (this.#map === undefined) await this.#replace(create());
    }
  }

  /**
   * Reads the map again. Ignores a map that is older than the known one, unless several reads in a
   * row find one: the engine has then been restored from a backup.
   */
  async refresh(): Promise<void> {
    await this.#read();
  }

  /**
   * Resolves to the nonce of the map that was read. `mayLag`: a lower version than the known one
   * may come from a server that lags.
   */
  async #read(mayLag = true): Promise<string | undefined> {
    const stored = await this.#repeat((signal) => this.#store.read({ signal }));
    const version = stored?.version ?? 0n;
    this.#olderReads = version < this.#version ? this.#olderReads + 1 : 0;
    const decoded = stored && decodeShardMap(stored.bytes);
    const isIgnored = mayLag && this.#olderReads > 0 && this.#olderReads < OLDER_READS;
    if (isIgnored) return decoded?.nonce;
    this.#olderReads = 0;
    this.#version = version;
    // If the map is gone, the next change stores the known one again.
    this.#map = decoded?.map ?? this.#map;
    return decoded?.nonce;
  }

  /**
   * Changes the entry of one shard. `change` is called with the current entry, maybe several times.
   * It returns undefined if nothing is to be changed. Changes that wait share one replacement of
   * the map: a node that takes over many shards at once would otherwise conflict with itself.
   */
  update(shard: number, change: PendingChange['change']): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ shard, change, resolve, reject });
      if (this.#isReplacing) return;
      this.#isReplacing = true;
      void this.#replacePending();
    });
  }

  async #replacePending(): Promise<void> {
    while (this.#pending.length > 0) {
      const taken: PendingChange[] = [];
      try {
        await this.#untilReplaced(taken);
        for (const { resolve } of taken) resolve();
      } catch (error) {
        for (const { reject } of taken) reject(error);
      }
    }
    this.#isReplacing = false;
  }

  /** After a conflict with a newer map tries again at once, else after a pause. */
  async #untilReplaced(taken: PendingChange[]): Promise<void> {
    for (let failures = 0; ;) {
      const before = this.#version;
      if (await this.#tryAll(taken)) return;
      this.#signal.throwIfAborted();
      failures = this.#version > before ? 0 : failures + 1;
      if (failures === 0) continue;
      await this.#environment.clock.sleep(backoffMs(failures - 1), this.#signal);
    }
  }

  /** Takes what waits, and applies it to the newest map. False: another node was faster. */
  async #tryAll(taken: PendingChange[]): Promise<boolean> {
    taken.push(...this.#pending.splice(0));
    const { map } = this;
    const shards = [...map.shards];
    let changes = 0;
    const refused = new Map<PendingChange, unknown>();
    for (const pending of taken) {
      try {
        const changed = pending.change(shards[pending.shard]!);
        if (changed === undefined) continue;
        shards[pending.shard] = changed;
        changes++;
      } catch (error) {
        refused.set(pending, error);
      }
    }
    for (const [pending, error] of refused) {
      taken.splice(taken.indexOf(pending), 1);
      pending.reject(error);
    }
    return changes === 0 || this.#replace({ ...map, shards });
  }

  /** Resolves to true if this call replaced the map. The newest map has then been read. */
  async #replace(map: ShardMap): Promise<boolean> {
    const nonce = Buffer.from(this.#environment.randomBytes(MAP_NONCE_BYTES)).toString('hex');
    const bytes = encodeShardMap(map, nonce);
    try {
      const result = await this.#store.replace(this.#version, bytes, {
        signal: this.#signal,
      });
      // A conflict proves that the engine has another version than the known one.
      const found = await this.#read(result === 'replaced');
      return result === 'replaced' || found === nonce;
    } catch (error) {
      if (!(error instanceof LogUnavailableError)) throw error;
      return (await this.#read()) === nonce;
    }
  }

  async #repeat<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const signal = this.#signal;
    for (let attempt = 0; ; attempt++) {
      signal.throwIfAborted();
      try {
        return await call(signal);
      } catch (error) {
        if (!(error instanceof LogUnavailableError)) throw error;
        await this.#environment.clock.sleep(backoffMs(attempt), signal);
      }
    }
  }
}
