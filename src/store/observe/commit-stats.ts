import { Histogram, latencyHistogram, type Distribution } from '../../base/histogram.ts';

/** Figures since the store was opened. Milliseconds are of a monotonic clock. */
export interface CommitFigures {
  /** Writes to a log; each held one group, a seal, or both. */
  readonly groups: number;
  /** Syncs of a log: durable writes, and syncs that make deferred writes durable. */
  readonly syncs: number;
  /** Batches written; empty batches are not counted. */
  readonly batches: number;
  readonly updates: number;
  readonly writtenBytes: number;
  /** Groups that were rejected: no space, a failed write, or fenced. */
  readonly failedGroups: number;
  /**
   * Batches that were left out of their group: a condition did not hold, or only deletes had space.
   */
  readonly refusedBatches: number;
  /** Sums and maxima of the distributions in `latency`. */
  readonly encodeMs: number;
  readonly syncMs: number;
  readonly longestEncodeMs: number;
  readonly longestSyncMs: number;
  readonly batchesPerGroup: Distribution;
  readonly bytesPerGroup: Distribution;
  readonly latency: {
    /** Compressing and framing a group, including pauses for other work. */
    readonly encodeMs: Distribution;
    /** One deferred write, into the page cache. */
    readonly writeMs: Distribution;
    /** One sync. For a durable group, write and sync are one system call. */
    readonly syncMs: Distribution;
    /** The time that a caller waits: from `insertBatch` until the batch is acknowledged. */
    readonly batchMs: Distribution;
  };
}

/** The last write. `syncMs` is 0 if it was deferred. */
export interface LastWrite {
  readonly bytes: number;
  readonly encodeMs: number;
  readonly writeMs: number;
  readonly syncMs: number;
}

/** Counters of the commit path. */
export class CommitStats {
  groups = 0;
  syncs = 0;
  batches = 0;
  updates = 0;
  writtenBytes = 0;
  failedGroups = 0;
  refusedBatches = 0;
  readonly #encodeMs: Histogram = latencyHistogram();
  readonly #writeMs: Histogram = latencyHistogram();
  readonly #syncMs: Histogram = latencyHistogram();
  readonly #batchMs: Histogram = latencyHistogram();
  readonly #batchesPerGroup: Histogram = new Histogram(1, 24);
  readonly #bytesPerGroup: Histogram = new Histogram(1, 32);
  readonly #slowSyncMs: number;
  readonly #onSlowSync: (syncMs: number) => void;
  #last: LastWrite = { bytes: 0, encodeMs: 0, writeMs: 0, syncMs: 0 };

  /**
   * `onSlowSync` is called for each write that takes longer than `slowSyncMs`; it must not throw.
   */
  constructor(
    slowSyncMs: number = Infinity,
    onSlowSync: (syncMs: number) => void = () => undefined,
  ) {
    this.#slowSyncMs = slowSyncMs;
    this.#onSlowSync = onSlowSync;
  }

  get lastWrite(): LastWrite {
    return this.#last;
  }

  /**
   * Records a write of `lengthBytes` that took `ms`. It is durable unless the write was deferred.
   */
  written(lengthBytes: number, encodeMs: number, ms: number, isDurable = true): void {
    this.groups++;
    this.writtenBytes += lengthBytes;
    this.#bytesPerGroup.record(lengthBytes);
    this.#encodeMs.record(encodeMs);
    const [writeMs, syncMs] = isDurable ? [0, ms] : [ms, 0];
    this.#last = { bytes: lengthBytes, encodeMs, writeMs, syncMs };
    if (isDurable) this.synced(ms);
    else this.#writeMs.record(ms);
  }

  /** Records a sync. */
  synced(syncMs: number): void {
    this.syncs++;
    this.#syncMs.record(syncMs);
    if (syncMs > this.#slowSyncMs) this.#onSlowSync(syncMs);
  }

  committed(batches: number, updates: number): void {
    this.batches += batches;
    this.updates += updates;
    this.#batchesPerGroup.record(batches);
  }

  /** Records the time from the call to the acknowledgement of a batch. */
  acknowledged(batchMs: number): void {
    this.#batchMs.record(batchMs);
  }

  /** A copy of the current figures. */
  copy(): CommitFigures {
    const { groups, syncs, batches, updates } = this;
    const { writtenBytes, failedGroups, refusedBatches } = this;
    const latency = {
      encodeMs: this.#encodeMs.snapshot(),
      writeMs: this.#writeMs.snapshot(),
      syncMs: this.#syncMs.snapshot(),
      batchMs: this.#batchMs.snapshot(),
    };
    return {
      groups,
      syncs,
      batches,
      updates,
      writtenBytes,
      failedGroups,
      refusedBatches,
      encodeMs: latency.encodeMs.sum,
      syncMs: latency.syncMs.sum,
      longestEncodeMs: latency.encodeMs.max,
      longestSyncMs: latency.syncMs.max,
      batchesPerGroup: this.#batchesPerGroup.snapshot(),
      bytesPerGroup: this.#bytesPerGroup.snapshot(),
      latency,
    };
  }
}
