/** A map as the engine holds it. */
export interface StoredShardMap {
  readonly bytes: Uint8Array;
  /** Changes with every replacement; positive. */
  readonly version: bigint;
}

export interface ShardMapCallOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * One small value in the engine that changes by compare-and-set. Every call may reject with
 * `LogUnavailableError`; whether a replacement took place is then not known, and the caller reads
 * the map again.
 */
export interface ShardMapStore {
  /** Resolves to the current map, or to undefined if there is none yet. May be stale. */
  read(options?: ShardMapCallOptions): Promise<StoredShardMap | undefined>;
  /**
   * Replaces the map if its version is `expected`; 0 stands for no map. The comparison and the
   * replacement are one atomic step of the engine, durable when it resolves. At most 64 KiB.
   */
  replace(
    expected: bigint,
    bytes: Uint8Array,
    options?: ShardMapCallOptions,
  ): Promise<'replaced' | 'conflict'>;
  /** Frees connections. Idempotent. */
  close(): Promise<void>;
}
