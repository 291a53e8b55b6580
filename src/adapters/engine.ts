import type { Elector } from '../replicated/log/elector.ts';
import type { SharedLog } from '../replicated/log/shared-log.ts';
import type { ShardMapStore } from '../replicated/shards/shard-map-store.ts';

/** What one look at an engine found. */
export interface EngineFinding {
  /** What was looked at: `version`, `members`, `quota`, … Stable; texts are prose. */
  readonly check: string;
  /**
   * `good`; `warning`: it keeps its promise, but something should be changed; `unfit`: it cannot
   * keep its promise; `unknown`: it could not be looked at.
   */
  readonly state: 'good' | 'warning' | 'unfit' | 'unknown';
  /** What was found, as a sentence. */
  readonly text: string;
  /** What to do about it; undefined if nothing is to be done. */
  readonly remedy?: string | undefined;
}

/**
 * A connection to an engine that replicates. Everything that it makes shares its connections. Names
 * consist of 1 to 100 characters: letters, digits, `-` and `_`.
 */
export interface ReplicationEngine {
  /** The engine and its addresses, for messages. Without passwords. */
  readonly description: string;
  /** Opens the log with this name. A log that has no entry yet is empty. */
  log(name: string): Promise<SharedLog>;
  /** An elector for what is called `name`. */
  elector(name: string): Elector;
  /** The value called `name` that changes by compare-and-set. */
  shardMap(name: string): ShardMapStore;
  /** Looks at versions and settings of the engine, for `lodestore replicate doctor`. */
  examine(): Promise<readonly EngineFinding[]>;
  /** Ends open readers and elections, and frees connections. Idempotent. */
  close(): Promise<void>;
}
