/** A map as stored in the engine. */
export interface StoredShardMap {
  readonly bytes: Uint8Array;
  /** Changes with every replacement; positive. */
  readonly version: bigint;
}

/** The longest map that a store must accept, in bytes. */
export const MAX_SHARD_MAP_BYTES: number = 64 * 1024;

export interface ShardMapCallOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * One small value in the engine that changes by compare-and-set. Every call may reject with
 * `LogUnavailableError`; it is then unknown whether a replacement took effect, and the caller reads
 * the map again.
 */
export interface ShardMapStore {
  /** Resolves to the current map, or to undefined if it does not exist. May be stale. */
  read(options?: ShardMapCallOptions): Promise<StoredShardMap | undefined>;
  /**
   * Replaces the map if its version is `expected`; 0 means that no map exists. The engine compares
   * and replaces in one atomic step, durable when it resolves. At most 64 KiB.
   */
  replace(
    expected: bigint,
    bytes: Uint8Array,
    options?: ShardMapCallOptions,
  ): Promise<'replaced' | 'conflict'>;
  /** Frees connections. Idempotent. */
  close(): Promise<void>;
}
