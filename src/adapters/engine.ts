import type { Elector } from '../replicated/log/elector.ts';
import type { SharedLog } from '../replicated/log/shared-log.ts';
import type { ShardMapStore } from '../replicated/shards/shard-map-store.ts';

/** The result of one check of an engine. */
export interface EngineFinding {
  /** The check: `version`, `members`, `quota`, … Stable, unlike the texts. */
  readonly check: string;
  /**
   * - `good`: nothing to do.
   * - `warning`: guarantees hold, but something should be changed.
   * - `unfit`: the engine cannot keep the guarantees of a shared log.
   * - `unknown`: the check was not possible.
   */
  readonly state: 'good' | 'warning' | 'unfit' | 'unknown';
  /** What was found, as a sentence. */
  readonly text: string;
  /** What to do about it; undefined if nothing. */
  readonly remedy?: string | undefined;
}

/** Options of `ReplicationEngine.log`. */
export interface OpenLogOptions {
  /**
   * False: a log that is not there is not created. The call rejects with a StoreError
   * `LODESTORE_NOT_FOUND`, except in etcd, where an empty log is not there either. Default true.
   */
  readonly create?: boolean | undefined;
}

/**
 * A connection to a replicated engine. Everything that it creates shares its connections. Names
 * have 1 to 100 characters: letters, digits, `-` and `_`.
 */
export interface ReplicationEngine {
  /** The engine and its addresses, for messages. Without passwords. */
  readonly description: string;
  /** Opens the log of this name, which is created if it is not there. */
  log(name: string, options?: OpenLogOptions): Promise<SharedLog>;
  /** The elector of the election `name`. */
  elector(name: string): Elector;
  /** The value `name` that changes by compare-and-set. */
  shardMap(name: string): ShardMapStore;
  /**
   * Checks versions and settings of the engine, and those of a log if it is named, for
   * `lodestore replicate doctor`.
   */
  examine(log?: string): Promise<readonly EngineFinding[]>;
  /** Ends open readers and elections, and frees connections. Idempotent. */
  close(): Promise<void>;
}
