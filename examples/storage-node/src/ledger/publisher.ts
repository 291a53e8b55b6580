import { WriteBatch, type MetadataStore } from 'lodestore';
import { BusyError, NodeError, NoSpaceError } from '../node-errors.ts';
import { nextTurn } from '../turn-pace.ts';
import type { Appended } from '../volumes/group-writer.ts';
import type { Volume } from '../volumes/volume.ts';
import { encodeBucketRecord, type Bucket } from './bucket-record.ts';
import { keyOf } from './keys.ts';
import { COUNTERS_KEY, type Counters } from './node-record.ts';
import type { StoredRecord } from './stored-record.ts';
import { encodeVolumeRecord } from './volume-record.ts';

/** A turn takes no more changes once it has this many bytes, or this many changes. */
const TURN_BYTES = 4 * 2 ** 20;
const TURN_CHANGES = 1_000;

/** Marks a key without a record. */
const NONE = Symbol('none');

interface BucketChange {
  objects: number;
  bytes: number;
  handle?: bigint;
}

interface VolumeChange {
  liveBytes: number;
  revivedBytes: number;
  markBytes: number;
  endBytes: number;
  newestMs: number;
}

/**
 * One lodestore batch that is being built. Changes run one after another and see the effects of
 * earlier ones. A change checks first and modifies then: if it throws, it must not have modified
 * anything.
 */
export class Turn {
  readonly #store: MetadataStore;
  readonly batch = new WriteBatch();
  readonly #overlay = new Map<bigint, StoredRecord | typeof NONE>();
  readonly #volumes = new Map<Volume, VolumeChange>();
  readonly #buckets = new Map<Bucket, BucketChange>();
  readonly #notes = new Map<bigint, number>();
  readonly #commits: (() => void)[] = [];

  constructor(store: MetadataStore) {
    this.#store = store;
  }

  get(key: bigint): StoredRecord | undefined {
    const changed = this.#overlay.get(key);
    if (changed === undefined) return this.#store.get(key);
    return changed === NONE ? undefined : changed;
  }

  valueOf(key: bigint): bigint | undefined {
    const changed = this.#overlay.get(key);
    if (changed === undefined) return this.#store.valueOf(key);
    return changed === NONE ? undefined : changed.value;
  }

  /** Later changes of this turn see it. */
  put(key: bigint, value: bigint, data: Uint8Array): void {
    this.#overlay.set(key, { value, data });
    this.batch.put(key, value, data);
  }

  delete(key: bigint): void {
    this.#overlay.set(key, NONE);
    this.batch.delete(key);
  }

  /** Deletes many keys as one update. They must be all that there are in the range. */
  deleteMany(range: { readonly gte: bigint; readonly lte: bigint }, keys: Iterable<bigint>): void {
    for (const key of keys) this.#overlay.set(key, NONE);
    this.batch.deleteRange(range);
  }

  /** From now on, something refers to the record. */
  revive(at: Appended, timeMs = 0): void {
    const change = this.#volume(at.volume);
    change.liveBytes += at.lengthBytes;
    change.revivedBytes += at.lengthBytes;
    change.endBytes = Math.max(change.endBytes, at.groupEnd);
    change.newestMs = Math.max(change.newestMs, timeMs);
  }

  /** A mark was written, which a rebuild reads. */
  mark(at: Appended): void {
    const change = this.#volume(at.volume);
    change.markBytes += at.lengthBytes;
    change.endBytes = Math.max(change.endBytes, at.groupEnd);
  }

  /** A mark is no longer needed, or has moved. */
  unmark(volume: Volume, lengthBytes: number): void {
    this.#volume(volume).markBytes -= lengthBytes;
  }

  /** Nothing refers to the record any more. */
  bury(volume: Volume | undefined, lengthBytes: number): void {
    if (volume !== undefined) this.#volume(volume).liveBytes -= lengthBytes;
  }

  /** Records the current state of a volume. */
  touch(volume: Volume): void {
    this.#volume(volume);
  }

  #volume(volume: Volume): VolumeChange {
    let change = this.#volumes.get(volume);
    if (change === undefined) {
      change = { liveBytes: 0, revivedBytes: 0, markBytes: 0, endBytes: 0, newestMs: 0 };
      this.#volumes.set(volume, change);
    }
    return change;
  }

  count(bucket: Bucket, objects: number, bytes: number): void {
    const change = this.#bucket(bucket);
    change.objects += objects;
    change.bytes += bytes;
  }

  /** The bucket's own record has moved. */
  moveBucket(bucket: Bucket, handle: bigint): void {
    this.#bucket(bucket).handle = handle;
  }

  #bucket(bucket: Bucket): BucketChange {
    let change = this.#buckets.get(bucket);
    if (change === undefined) {
      change = { objects: 0, bytes: 0 };
      this.#buckets.set(bucket, change);
    }
    return change;
  }

  /** Number of objects of a bucket, including this turn. */
  objectsOf(bucket: Bucket): number {
    return bucket.objects + (this.#buckets.get(bucket)?.objects ?? 0);
  }

  /** The highest sequence that this turn publishes for a name; 0: none. */
  noted(home: bigint): number {
    return this.#notes.get(home) ?? 0;
  }

  note(home: bigint, sequence: number): void {
    this.#notes.set(home, Math.max(sequence, this.noted(home)));
  }

  /** Runs when the turn is durable, before any other change. */
  onCommit(apply: () => void): void {
    this.#commits.push(apply);
  }

  /** Completes the batch with the counters. */
  seal(counters: Counters): void {
    for (const [volume, change] of this.#volumes) {
      const facts = {
        kind: volume.kind,
        bucketId: volume.bucketId,
        createdMs: volume.createdMs,
        state: volume.state,
        endBytes: Math.max(volume.endBytes, change.endBytes),
        newestMs: Math.max(volume.newestMs, change.newestMs),
        markBytes: volume.markBytes + change.markBytes,
        punchedDeadBytes: volume.punchedDeadBytes,
      };
      const liveBytes = volume.liveBytes + change.liveBytes;
      if (liveBytes < 0) throw new Error(`volume ${volume.number} would have negative live bytes`);
      this.batch.put(keyOf('volume', volume.number), liveBytes + 1, encodeVolumeRecord(facts));
      this.onCommit(() => {
        volume.liveBytes = liveBytes;
        volume.revivedBytes += change.revivedBytes;
        volume.endBytes = facts.endBytes;
        volume.newestMs = facts.newestMs;
        volume.markBytes = facts.markBytes;
      });
    }
    for (const [bucket, change] of this.#buckets) {
      const objects = bucket.objects + change.objects;
      const bytes = bucket.bytes + change.bytes;
      const handle = change.handle ?? bucket.handle;
      const data = encodeBucketRecord({ ...bucket, bytes, handle });
      this.batch.put(keyOf('bucket', bucket.id), objects + 1, data);
      this.onCommit(() => {
        bucket.objects = objects;
        bucket.bytes = bytes;
        bucket.handle = handle;
      });
    }
    const pending = counters.pending();
    if (pending === undefined) return;
    this.batch.put(COUNTERS_KEY, 1n, pending.data);
    this.onCommit(pending.recorded);
  }

  committed(): void {
    for (const apply of this.#commits) apply();
  }
}

/** A change of the metadata. It may run more than once: only the last run counts. */
export type Change<T> = (turn: Turn) => T;

interface Waiting {
  readonly change: Change<unknown>;
  readonly isAlone: boolean;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** `onFailed` and `onError` must not throw. */
export interface PublisherEvents {
  /** `onFull` has failed. */
  readonly onError?: (error: unknown) => void;
  /** The store has failed. */
  readonly onFailed?: (error: Error) => void;
  /** The disk is full. True: there is room now that was not there before. */
  readonly onFull?: () => Promise<boolean>;
}

export interface PublisherFigures {
  turns: number;
  changes: number;
  refused: number;
}

/**
 * Publishes changes in lodestore, turn by turn. All waiting changes form one batch and share its
 * sync; the next turn starts when it is durable. A change therefore sees exactly what was published
 * before it, and its checks (preconditions, the leaf of a name, live bytes) still hold when it is
 * published. Lodestore conditions are not needed, because this is the only writer.
 *
 * A turn that wrote nothing has waited for no I/O, so the event loop has a turn after it.
 */
export class Publisher {
  readonly #store: MetadataStore;
  readonly #counters: Counters;
  readonly #events: PublisherEvents;
  readonly figures: PublisherFigures = { turns: 0, changes: 0, refused: 0 };
  #queue: Waiting[] = [];
  #running: Promise<void> | undefined;
  #writtenTurns = 0;
  /** Set when the store has failed: nothing is published any more. */
  failure: Error | undefined;

  constructor(store: MetadataStore, counters: Counters, events: PublisherEvents = {}) {
    this.#store = store;
    this.#counters = counters;
    this.#events = events;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /**
   * Durable when it resolves; it always settles. `alone`: the change reads records that others in
   * its turn could modify.
   *
   * @throws the errors of `change`; NoSpaceError, BusyError, or the store's error
   */
  submit<T>(change: Change<T>, options?: { readonly alone: boolean }): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({
        change,
        isAlone: options?.alone === true,
        resolve: resolve as (value: unknown) => void,
        reject,
      });
      this.#running ??= this.#run();
    });
  }

  async #run(): Promise<void> {
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const before = this.#writtenTurns;
      await this.#publish(this.#take());
      if (this.#writtenTurns === before) await nextTurn();
    }
    this.#running = undefined;
  }

  #take(): Waiting[] {
    if (this.#queue[0]!.isAlone) return this.#queue.splice(0, 1);
    let count = 0;
    while (count < TURN_CHANGES && count < this.#queue.length && !this.#queue[count]!.isAlone) {
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #publish(waiting: readonly Waiting[]): Promise<void> {
    const turn = new Turn(this.#store);
    const done: { readonly one: Waiting; readonly value: unknown }[] = [];
    for (const [i, one] of waiting.entries()) {
      if (turn.batch.byteLength > TURN_BYTES) {
        this.#queue.unshift(...waiting.slice(i));
        break;
      }
      const size = turn.batch.size;
      try {
        done.push({ one, value: one.change(turn) });
      } catch (error) {
        one.reject(error);
        if (turn.batch.size === size) continue;
        // A partial change must not be published.
        this.#queue.unshift(...done.map((other) => other.one), ...waiting.slice(i + 1));
        return;
      }
    }
    try {
      if (this.failure !== undefined) throw this.failure;
      turn.seal(this.#counters);
      if (turn.batch.size > 0) {
        await this.#store.insertBatch(turn.batch);
        this.#writtenTurns++;
      }
    } catch (error) {
      await this.#refused(
        done.map(({ one }) => one),
        error,
      );
      return;
    }
    try {
      turn.committed();
    } catch (error) {
      // What is in memory is no longer what is recorded.
      this.fail(asError(error));
      for (const { one } of done) one.reject(error);
      return;
    }
    this.figures.turns++;
    this.figures.changes += done.length;
    for (const { one, value } of done) one.resolve(value);
  }

  /** Without space, one change may fail where another, which deletes, succeeds. */
  async #refused(waiting: readonly Waiting[], error: unknown): Promise<void> {
    const { code, outcome } = (error ?? {}) as { code?: string; outcome?: string };
    if (code === 'LODESTORE_FULL') {
      const isFreed = await this.#freeSpace();
      if (isFreed || waiting.length > 1) {
        for (const one of waiting) await this.#publish([one]);
        return;
      }
    }
    this.figures.refused += waiting.length;
    if (outcome !== 'not-applied') this.fail(asError(error));
    const reason = refusalOf(error);
    for (const one of waiting) one.reject(reason);
  }

  /** If it fails, that is reported, and the changes are refused for lack of space. */
  async #freeSpace(): Promise<boolean> {
    try {
      return (await this.#events.onFull?.()) === true;
    } catch (error) {
      this.#events.onError?.(error);
      return false;
    }
  }

  /** The store accepts no further writes. The first cause is kept. */
  fail(error: Error): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    this.#events.onFailed?.(error);
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function refusalOf(error: unknown): unknown {
  if (error instanceof NodeError) return error;
  const { code, usedBytes, limitBytes } = (error ?? {}) as {
    code?: string;
    usedBytes?: number;
    limitBytes?: number;
  };
  if (code === 'LODESTORE_FULL') {
    return new NoSpaceError(0, Math.max(0, (limitBytes ?? 0) - (usedBytes ?? 0)));
  }
  if (code === 'LODESTORE_BUSY') return new BusyError(1_000);
  return error;
}
