export interface CommitFigures {
  /** Writes synced; each held one group, or a seal. */
  readonly groups: number;
  readonly batches: number;
  readonly updates: number;
  readonly writtenBytes: number;
  readonly encodeMs: number;
  readonly syncMs: number;
  readonly longestEncodeMs: number;
  readonly longestSyncMs: number;
}

/** Counters of the commit path. Milliseconds are sums and maxima by a monotonic clock. */
export class CommitStats {
  groups = 0;
  batches = 0;
  updates = 0;
  writtenBytes = 0;
  encodeMs = 0;
  syncMs = 0;
  longestEncodeMs = 0;
  longestSyncMs = 0;

  /** A write of `lengthBytes` is durable. */
  written(lengthBytes: number, encodeMs: number, syncMs: number): void {
    this.groups++;
    this.writtenBytes += lengthBytes;
    this.encodeMs += encodeMs;
    this.syncMs += syncMs;
    this.longestEncodeMs = Math.max(this.longestEncodeMs, encodeMs);
    this.longestSyncMs = Math.max(this.longestSyncMs, syncMs);
  }

  /** The figures of the moment. */
  copy(): CommitFigures {
    const { groups, batches, updates, writtenBytes } = this;
    const { encodeMs, syncMs, longestEncodeMs, longestSyncMs } = this;
    return {
      groups,
      batches,
      updates,
      writtenBytes,
      encodeMs,
      syncMs,
      longestEncodeMs,
      longestSyncMs,
    };
  }

  committed(batches: number, updates: number): void {
    this.batches += batches;
    this.updates += updates;
  }
}
