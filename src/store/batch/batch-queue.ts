import { monotonicMs } from '../../base/timers.ts';
import { onAbort } from '../../base/abort.ts';
import { assert, present } from '../../base/assert.ts';
import { AbortedError, type StoreError } from '../../base/errors.ts';
import { GROUP_TARGET_BYTES, MAX_GROUP_BATCHES } from '../../base/limits.ts';
import { isPromise, type Awaitable } from '../../base/flow.ts';
import type { Pacing } from '../../base/work-slices.ts';
import type { BatchDurability } from './durability.ts';
import { CommittedBatch, type Inserted } from './insert-options.ts';
import { packUpdates, type Update } from './updates.ts';
import type { PackedBatch } from './packed-batch.ts';
import { WriteBatch } from './write-batch.ts';

/**
 * A queued batch. `waiting`: not admitted; nothing of an iterable was read. `packing`: its updates
 * are being encoded. `ready`: its rows wait for a group. `in-flight`: they are being written.
 * `settled`: its promise is settled.
 */
type BatchState = 'waiting' | 'packing' | 'ready' | 'in-flight' | 'settled';

export class QueuedBatch {
  state: BatchState = 'waiting';
  packed: PackedBatch | undefined;
  /**
   * Why this batch was left out of its group. Reported when the state that it was judged by is
   * durable.
   */
  refusal: StoreError | undefined;
  source: WriteBatch | Iterable<Update> | undefined;
  readonly durability: BatchDurability;
  readonly queuedAtMs: number = monotonicMs();
  /** Set before the batch is settled without an error. */
  sequence = 0n;
  readonly #resolve: (inserted: Inserted) => void;
  readonly #reject: (error: unknown) => void;
  #stopListening: (() => void) | undefined;

  constructor(
    source: WriteBatch | Iterable<Update>,
    durability: BatchDurability,
    resolve: (inserted: Inserted) => void,
    reject: (error: unknown) => void,
  ) {
    this.source = source;
    this.durability = durability;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get lengthBytes(): number {
    return this.packed?.lengthBytes ?? 0;
  }

  /** Calls `listener` if `signal` is aborted before the batch is settled. */
  listenTo(signal: AbortSignal, listener: () => void): void {
    this.#stopListening = onAbort(signal, listener);
  }

  settle(error: unknown): void {
    assert(this.state !== 'settled', 'a batch is settled once');
    this.state = 'settled';
    this.#stopListening?.();
    this.packed?.release();
    this.packed = undefined;
    this.source = undefined;
    if (error === undefined) this.#resolve(new CommittedBatch(this.sequence));
    else this.#reject(error);
  }
}

export interface QueueLimits {
  readonly queueBytes: number;
  readonly queueBatches: number;
}

/** Adds the outcome `not-applied` to an error of the caller, such as wrong arguments. */
export function withOutcome(error: unknown): unknown {
  if (error instanceof Error && !('outcome' in error) && Object.isExtensible(error)) {
    Object.defineProperty(error, 'outcome', { value: 'not-applied', enumerable: false });
  }
  return error;
}

/**
 * Batches in the order in which they were added. The queue is bounded: when it is full, a batch is
 * kept unread until there is space. An iterable is also kept unread while another one is read.
 */
export class BatchQueue {
  readonly #limits: QueueLimits;
  readonly #pacing: Pacing;
  readonly #onReady: () => void;
  /**
   * From `#head` on: admitted batches, then waiting ones. Settled ones are skipped. Slots of taken
   * batches are cleared, so that batches and all that they refer to die young.
   */
  #batches: (QueuedBatch | undefined)[] = [];
  #head = 0;
  /** Index of the first batch that was not admitted, at least `#head`. */
  #admitted = 0;
  #waitingBatches = 0;
  /** Batches that were taken and are not settled. */
  #inFlight: readonly QueuedBatch[] = [];
  #queuedBytes = 0;
  #queuedBatches = 0;
  #conditionalBatches = 0;
  /**
   * The batch whose iterable is being read: one at a time, because nothing bounds how many rows the
   * others would have by then.
   */
  #reading: QueuedBatch | undefined;
  readonly #emptyWaiters: (() => void)[] = [];

  constructor(limits: QueueLimits, pacing: Pacing, onReady: () => void) {
    this.#limits = limits;
    this.#pacing = pacing;
    this.#onReady = onReady;
  }

  /** Bytes of rows in the queue and in flight. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Number of batches in the queue and in flight. */
  get queuedBatches(): number {
    return this.#queuedBatches;
  }

  /** Number of these that have conditions. */
  get conditionalBatches(): number {
    return this.#conditionalBatches;
  }

  /** Number of batches that wait for space in the queue. */
  get waitingBatches(): number {
    return this.#waitingBatches;
  }

  get hasReady(): boolean {
    this.#skipSettled();
    return this.#batches[this.#head]?.state === 'ready';
  }

  get isEmpty(): boolean {
    this.#skipSettled();
    return this.#head === this.#batches.length && this.#queuedBatches === 0;
  }

  /** Resolves when every batch added so far is settled. */
  async whenEmpty(): Promise<void> {
    if (this.isEmpty) return;
    await new Promise<void>((resolve) => this.#emptyWaiters.push(resolve));
  }

  #announceEmpty(): void {
    if (this.#emptyWaiters.length === 0 || !this.isEmpty) return;
    for (const resolve of this.#emptyWaiters.splice(0)) resolve();
  }

  /** Adds a batch. The promise settles with it. */
  add(
    source: WriteBatch | Iterable<Update>,
    signal: AbortSignal | undefined,
    durability: BatchDurability = 'sync',
  ): Promise<Inserted> {
    return new Promise<Inserted>((resolve, reject) => {
      const batch = new QueuedBatch(source, durability, resolve, reject);
      if (signal !== undefined) {
        if (signal.aborted) {
          batch.settle(aborted(signal));
          return;
        }
        batch.listenTo(signal, () => this.#abort(batch, signal));
      }
      // Lent now, because the caller may change the batch when this call returns, even while it
      // waits.
      if (source instanceof WriteBatch) batch.packed = WriteBatch.lend(source);
      this.#batches.push(batch);
      this.#waitingBatches++;
      this.#admit();
    });
  }

  /**
   * Adds a batch that is committed immediately, without queueing, when the queue is empty. It is in
   * flight. `reject` is called if it fails.
   */
  enter(
    source: WriteBatch,
    durability: BatchDurability,
    reject: (error: unknown) => void,
  ): QueuedBatch {
    assert(this.isEmpty, 'nothing is before a batch that is committed at once');
    const batch = new QueuedBatch(source, durability, () => undefined, reject);
    batch.packed = WriteBatch.lend(source);
    batch.state = 'in-flight';
    this.#queuedBatches++;
    this.#queuedBytes += batch.lengthBytes;
    if (batch.packed.conditions !== undefined) this.#conditionalBatches++;
    this.#inFlight = [batch];
    return batch;
  }

  /** Takes the next batches for one group: at least one if any is ready, at most as many as fit. */
  take(): QueuedBatch[] {
    assert(this.#inFlight.length === 0, 'one group is in flight at a time');
    const group: QueuedBatch[] = [];
    let lengthBytes = 0;
    for (;;) {
      this.#skipSettled();
      const batch = this.#batches[this.#head];
      if (batch?.state !== 'ready' || group.length === MAX_GROUP_BATCHES) break;
      // A batch that deletes intervals is a group of its own: the rows before it decide what it
      // deletes.
      const isAlone = batch.packed!.hasIntervals;
      const isTooLong = lengthBytes + batch.lengthBytes > GROUP_TARGET_BYTES;
      if (group.length > 0 && (isAlone || isTooLong)) break;
      lengthBytes += batch.lengthBytes;
      batch.state = 'in-flight';
      group.push(batch);
      this.#batches[this.#head++] = undefined;
      if (isAlone) break;
    }
    this.#compact();
    this.#inFlight = group;
    return group;
  }

  /**
   * Settles taken batches and admits waiting ones. A batch that was left out of its group is
   * rejected with its refusal, or with `refusedError` if the state that it was judged by is
   * unknown. A batch that was given up while its group was in flight is settled already.
   */
  settle(
    group: readonly QueuedBatch[],
    error: StoreError | undefined,
    refusedError: StoreError | undefined = error,
  ): void {
    for (const batch of group) {
      if (batch.state === 'settled') continue;
      const { refusal } = batch;
      this.#leave(batch);
      batch.settle(refusal === undefined ? error : (refusedError ?? refusal));
    }
    this.#inFlight = [];
    this.#admit();
    this.#announceEmpty();
  }

  /** Rejects all batches that are not in flight. `errorOf` creates an error for each. */
  rejectQueued(errorOf: () => StoreError): void {
    const rest = this.#batches.slice(this.#head);
    this.#batches = [];
    this.#head = 0;
    this.#admitted = 0;
    for (const batch of rest) {
      if (batch === undefined || batch.state === 'settled') continue;
      this.#leave(batch);
      batch.settle(errorOf());
    }
    this.#announceEmpty();
  }

  /** Rejects unsettled batches in flight, after their commit was aborted by a bug. */
  rejectInFlight(errorOf: () => StoreError): void {
    const group = this.#inFlight.filter(({ state }) => state === 'in-flight');
    this.#inFlight = [];
    for (const batch of group) {
      this.#leave(batch);
      batch.settle(errorOf());
    }
    this.#announceEmpty();
  }

  #leave(batch: QueuedBatch): void {
    if (batch.state === 'waiting') {
      this.#waitingBatches--;
      return;
    }
    this.#queuedBytes -= batch.lengthBytes;
    this.#queuedBatches--;
    if (batch.packed?.conditions !== undefined) this.#conditionalBatches--;
  }

  #abort(batch: QueuedBatch, signal: AbortSignal): void {
    if (batch.state === 'in-flight' || batch.state === 'settled') return;
    this.#leave(batch);
    batch.settle(aborted(signal));
    this.#admit();
    this.#onReady();
    this.#announceEmpty();
  }

  #admit(): void {
    while (this.#admitted < this.#batches.length) {
      const isFull =
        this.#queuedBytes >= this.#limits.queueBytes ||
        this.#queuedBatches >= this.#limits.queueBatches;
      if (isFull) return;
      const batch = this.#batches[this.#admitted]!;
      const isUnread = batch.state === 'waiting' && batch.packed === undefined;
      if (isUnread && this.#reading !== undefined) return;
      this.#admitted++;
      if (batch.state !== 'settled') this.#enqueue(batch);
    }
  }

  #enqueue(batch: QueuedBatch): void {
    this.#waitingBatches--;
    this.#queuedBatches++;
    const source = present(batch.source, 'a batch keeps its source until it is settled');
    if (source instanceof WriteBatch) {
      this.#makeReady(batch, present(batch.packed, 'a WriteBatch is lent when it is handed in'));
    } else this.#read(batch, source);
  }

  #read(batch: QueuedBatch, updates: Iterable<Update>): void {
    batch.state = 'packing';
    this.#reading = batch;
    let packed: Awaitable<WriteBatch>;
    try {
      packed = packUpdates(updates, this.#pacing);
    } catch (error) {
      this.#failReading(batch, error);
      return;
    }
    if (!isPromise(packed)) {
      this.#endReading(batch, packed);
      return;
    }
    void packed
      .then(
        (done) => this.#endReading(batch, done),
        (error: unknown) => this.#failReading(batch, error),
      )
      .then(() => this.#admit());
  }

  #endReading(batch: QueuedBatch, packed: WriteBatch): void {
    this.#reading = undefined;
    if (batch.state === 'packing') this.#makeReady(batch, WriteBatch.lend(packed));
  }

  #failReading(batch: QueuedBatch, error: unknown): void {
    this.#reading = undefined;
    if (batch.state !== 'packing') return;
    this.#leave(batch);
    batch.settle(withOutcome(error));
    this.#onReady();
    this.#announceEmpty();
  }

  #makeReady(batch: QueuedBatch, packed: PackedBatch): void {
    batch.packed = packed;
    if (packed.conditions !== undefined) this.#conditionalBatches++;
    batch.state = 'ready';
    this.#queuedBytes += batch.lengthBytes;
    this.#onReady();
  }

  #skipSettled(): void {
    while (this.#batches[this.#head]?.state === 'settled') {
      this.#batches[this.#head++] = undefined;
    }
    // Skips batches that were aborted while they waited.
    this.#admitted = Math.max(this.#admitted, this.#head);
  }

  #compact(): void {
    if (this.#head < 1024 || this.#head * 2 < this.#batches.length) return;
    this.#batches = this.#batches.slice(this.#head);
    this.#admitted -= this.#head;
    this.#head = 0;
  }
}

function aborted(signal: AbortSignal): AbortedError {
  return new AbortedError('the batch was aborted before it was written', {
    cause: signal.reason,
    outcome: 'not-applied',
  });
}
