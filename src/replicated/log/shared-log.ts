/** Options of the calls of a {@link SharedLog}. */
export interface SharedLogOptions {
  /**
   * Ends the wait: the call rejects with the signal's reason. An append that has started may still
   * succeed.
   */
  readonly signal?: AbortSignal | undefined;
}

/** One entry of a shared log. */
export interface LogEntry {
  /** From 1, without gaps. */
  readonly position: bigint;
  /** The bytes that were appended. The reader may keep them. */
  readonly entry: Uint8Array;
}

/** The positions of the first and the last entry in a log. */
export interface LogBounds {
  /** 1 for a log that was never trimmed. At most `last + 1`. */
  readonly first: bigint;
  /** 0 for a log that never had an entry. */
  readonly last: bigint;
}

/**
 * A log that several machines share: entries at positions from 1, without gaps. An adapter
 * implements it over an engine that replicates.
 *
 * Every call may reject with `LogUnavailableError`: the engine cannot be reached, is slow, or
 * refuses the request for now. The caller repeats the call. Any other rejection is final.
 */
export interface SharedLog {
  /** The largest entry that `append` accepts, in bytes. At least 4,096. */
  readonly maxEntryBytes: number;
  /**
   * Appends an entry at `position` if the log ends at `position - 1`. The engine checks the
   * condition and appends in one atomic step.
   *
   * - `appended`: a quorum of the engine has the entry on stable storage, and no other entry will
   *   ever be at this position.
   * - `occupied`: the log already had an entry at this position, or its end was elsewhere. This
   *   call has appended nothing and never will.
   *
   * Rejects with `LogUnavailableError` if the result is unknown. The caller then repeats the same
   * bytes at the same position. An adapter must not return `occupied` if the result is unknown.
   */
  append(
    position: bigint,
    entry: Uint8Array,
    options?: SharedLogOptions,
  ): Promise<'appended' | 'occupied'>;
  /**
   * Yields the entries from position `from` on, in order and without gaps, then waits for new ones.
   * Ends only by `return`, by the signal, or by an error. Yielded entries are durable, as defined
   * by `append`. A reader may lag.
   *
   * Rejects with `PositionExpiredError` if the entry at `from`, or later the next entry, has been
   * trimmed.
   */
  read(from: bigint, options?: SharedLogOptions): AsyncIterable<LogEntry>;
  /** Resolves to a hint that may be stale. Correctness must not depend on it. */
  bounds(options?: SharedLogOptions): Promise<LogBounds>;
  /**
   * Removes the entries up to and including position `upTo`. The last entry always stays. Has no
   * effect on a log that is already trimmed further. The removal may happen later, or in several
   * steps from the front.
   */
  trim(upTo: bigint, options?: SharedLogOptions): Promise<void>;
  /** Ends open readers and frees connections. Idempotent. Later calls reject. */
  close(): Promise<void>;
}
