import { BusyError, NodeError, NoSpaceError, quoted } from '../node-errors.ts';
import type { ObjectInfo } from '../object-node.ts';
import type { Bucket } from '../ledger/bucket-record.ts';
import type { ByteName } from '../names/byte-name.ts';
import { ByteBudget } from '../volumes/byte-budget.ts';
import type { RecordPieces } from '../volumes/record.ts';
import { loadZstd } from '../volumes/zstd.ts';
import { BucketBuffer } from './bucket-buffer.ts';
import type { NodeParts } from './node-parts.ts';
import { encodeObject, storedIn, type Target } from './object-record.ts';
import { PendingPut } from './pending-put.ts';
import type { Publication } from './publication.ts';
import { shareOfQuota } from './writers.ts';
import { nextTurn, TurnPace } from '../turn-pace.ts';

/** A client that is refused because a flush failed may try again after this time. */
const RETRY_AFTER_MS = 1_000;
/** Bytes of records that are encoded without a turn for others. */
const ENCODE_BYTES = 256 * 1024;
/** Memory of the puts that are acknowledged in one turn of the event loop. */
const TURN_BYTES = 256 * 1024;

export interface WriteBufferOptions {
  readonly limitBytes: number;
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
  /** Longest time between an acknowledgement and the write; 0: no such time. */
  readonly everyMs: number;
}

export interface WriteBufferCounts {
  /** PUTs acknowledged from the buffer. */
  puts: number;
  /** Segments written. */
  flushes: number;
  failures: number;
}

/**
 * Acknowledged PUTs of the buckets with deferred acknowledgement, until they are durable.
 *
 * The buffer is written after `everyMs`, when it is more than half full, when it has more of a
 * bucket with a quota than one of its volumes, before each other change of the bucket, and when
 * the node is closed. A write has the order of every PUT: first the records are synced, then one
 * batch of the metadata publishes them. So the metadata never refers to bytes that are not synced,
 * whichever of its batches becomes durable first.
 *
 * A PUT is promised space when it is acknowledged, until it is in a volume or replaced: what lacks
 * space is refused before the acknowledgement, not when the buffer is written.
 *
 * If a write fails, what is in the buffer stays there and is served. The write is tried again, and
 * until it succeeds further calls that need the buffer of that bucket are refused as busy.
 */
export class WriteBuffer {
  readonly #parts: NodeParts;
  readonly #publication: Publication;
  readonly #options: WriteBufferOptions;
  readonly #budget: ByteBudget;
  readonly #buffers = new Map<Bucket, BucketBuffer>();
  /** An acknowledgement waits for no I/O: timers and flushes need turns, too. */
  readonly #pace: TurnPace = new TurnPace(TURN_BYTES);
  readonly counts: WriteBufferCounts = { puts: 0, flushes: 0, failures: 0 };
  #timer: NodeJS.Timeout | undefined;
  #background: Promise<void> | undefined;
  #isClosed = false;

  constructor(parts: NodeParts, publication: Publication, options: WriteBufferOptions) {
    this.#parts = parts;
    this.#publication = publication;
    this.#options = options;
    this.#budget = new ByteBudget(options);
  }

  get usedBytes(): number {
    return this.#budget.usedBytes;
  }

  get limitBytes(): number {
    return this.#options.limitBytes;
  }

  get waiting(): number {
    return this.#budget.waiting;
  }

  /** Puts in memory. */
  get puts(): number {
    let count = 0;
    for (const { puts } of this.#buffers.values()) count += puts;
    return count;
  }

  /** Buckets whose last write failed, with the reason. */
  get failures(): { readonly bucket: string; readonly reason: string }[] {
    return [...this.#buffers.values()].flatMap(({ bucket, failure }) =>
      failure === undefined ? [] : [{ bucket: bucket.name, reason: failure.message }],
    );
  }

  find(bucket: Bucket, name: ByteName): PendingPut | undefined {
    return this.#buffers.get(bucket)?.find(name);
  }

  /** Promised bytes that a put of the name makes superfluous. */
  freedBy({ bucket, name }: Target): number {
    return this.#buffers.get(bucket)?.replaceable(name)?.heldBytes ?? 0;
  }

  /** Memory of the puts of a bucket that are in no volume yet. */
  unwrittenBytes(bucket: Bucket): number {
    return this.#buffers.get(bucket)?.unwrittenBytes ?? 0;
  }

  namesOf(bucket: Bucket): ByteName[] {
    return this.#buffers.get(bucket)?.names ?? [];
  }

  /** Refuses a PUT before its body is read. @throws BusyError if the buffer cannot be written */
  assertWritable(bucket: Bucket): void {
    const buffer = this.#buffers.get(bucket);
    if (buffer?.failure !== undefined) throw refusalOf(buffer, buffer.failure);
  }

  /** Undefined if the bucket does not acknowledge from the buffer. */
  #of(bucket: Bucket): BucketBuffer | undefined {
    if (bucket.policy.acknowledge !== 'deferred') return undefined;
    let buffer = this.#buffers.get(bucket);
    if (buffer === undefined && this.#parts.buckets.byId(bucket.id) === bucket) {
      buffer = new BucketBuffer(bucket, {
        write: (written, puts) => this.#write(written, puts),
        onReleased: (put) => this.#released(put),
        onWritten: () => this.counts.flushes++,
        onFailed: (failed, error) => this.#failed(failed, error),
      });
      this.#buffers.set(bucket, buffer);
    }
    return buffer;
  }

  /**
   * Takes a PUT, and waits for room. Resolves to undefined if it must be stored without the buffer:
   * by the bucket's policy, or because another change of the name is in progress.
   *
   * @throws BusyError, NoSuchBucketError, NoSpaceError, NodeError `CLOSED`, `NO_ZSTD`
   */
  async take(
    target: Target,
    pieces: readonly Uint8Array[],
    fields: ConstructorParameters<typeof PendingPut>[1],
  ): Promise<ObjectInfo | undefined> {
    const buffer = this.#of(target.bucket);
    if (buffer === undefined) return undefined;
    // Without the library it could not be written later.
    if (target.bucket.policy.compression === 'zstd') await loadZstd();
    const put = new PendingPut(target, fields, pieces);
    await this.#pace.take(put.heldBytes);
    if (!this.#budget.tryTake(put.heldBytes)) {
      this.#flushInBackground('sound');
      await this.#budget.take(put.heldBytes, true);
    }
    try {
      // Nothing happens between these checks and the acknowledgement.
      if (this.#isClosed) throw new NodeError('CLOSED', 'the node is closed');
      this.#parts.buckets.check(target.bucket);
      this.assertWritable(target.bucket);
      if (buffer.isHeld(target.name)) {
        this.#budget.give(put.heldBytes);
        return undefined;
      }
      const freedBytes = buffer.replacedBy(put)?.heldBytes ?? 0;
      this.#parts.space.promise(put.heldBytes, freedBytes);
    } catch (error) {
      this.#budget.give(put.heldBytes);
      throw error;
    }
    buffer.add(put);
    this.counts.puts++;
    if (this.#isHalfFull || isLargeShare(buffer)) this.#flushInBackground('sound');
    else this.#arm();
    return put.info;
  }

  get #isHalfFull(): boolean {
    return this.#budget.usedBytes > this.#options.limitBytes / 2 || this.#budget.waiting > 0;
  }

  #released({ at, heldBytes }: PendingPut): void {
    this.#budget.give(heldBytes);
    if (at === undefined) this.#parts.space.settle(heldBytes);
  }

  /**
   * Runs a change that does not go through the buffer, of a name or, without one, of the bucket:
   * after everything that was acknowledged before is durable. Puts of the name that arrive
   * meanwhile are stored without the buffer.
   *
   * `onFull`: `continue` if the change may go ahead on a full disk, where it frees space. It does
   * so only if the name is not in the buffer.
   *
   * @throws BusyError if the buffer cannot be written; the errors of `change`
   */
  async exclusively<T>(
    bucket: Bucket,
    name: ByteName | undefined,
    change: () => Promise<T>,
    onFull: 'refuse' | 'continue' = 'refuse',
  ): Promise<T> {
    const buffer = this.#of(bucket);
    if (buffer === undefined) return change();
    buffer.hold(name);
    try {
      await this.#flushBefore(buffer, name, onFull);
      return await change();
    } finally {
      buffer.release(name);
    }
  }

  async #flushBefore(
    buffer: BucketBuffer,
    name: ByteName | undefined,
    onFull: 'refuse' | 'continue',
  ): Promise<void> {
    try {
      await buffer.flush();
    } catch (error) {
      const isApart = name !== undefined && buffer.find(name) === undefined;
      if (onFull === 'continue' && isApart && error instanceof NoSpaceError) return;
      throw refusalOf(buffer, error);
    }
  }

  /** What was acknowledged before is durable when it resolves. @throws BusyError */
  async flush(): Promise<void> {
    await this.#flushAll([...this.#buffers.values()]);
  }

  async #flushAll(buffers: readonly BucketBuffer[]): Promise<void> {
    const results = await Promise.allSettled(
      buffers.map((buffer) => this.#flushBefore(buffer, undefined, 'refuse')),
    );
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /** `sound`: not the buckets whose last write failed, which are tried again after a time. */
  #flushInBackground(which: 'all' | 'sound'): void {
    if (this.#background !== undefined || this.#isClosed) return;
    const buffers = [...this.#buffers.values()].filter(({ failure, isEmpty }) => {
      return !isEmpty && (which === 'all' || failure === undefined);
    });
    if (buffers.length === 0) {
      this.#arm();
      return;
    }
    this.#background = this.#flushAll(buffers)
      // Reported by its bucket.
      .catch(() => undefined)
      .finally(() => {
        this.#background = undefined;
        const isDue = this.#isHalfFull || [...this.#buffers.values()].some(isLargeShare);
        if (isDue) this.#flushInBackground('sound');
        else this.#arm();
      });
  }

  /** The timer keeps the process alive: what was acknowledged is to be written. */
  #arm(): void {
    const { everyMs } = this.#options;
    if (everyMs === 0 || this.usedBytes === 0) return;
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#flushInBackground('all');
    }, everyMs);
  }

  async #write(buffer: BucketBuffer, puts: readonly PendingPut[]): Promise<void> {
    const { bucket } = buffer;
    const { buckets, flights, publisher } = this.#parts;
    for (const { target } of puts) flights.begin(target.hash.home);
    try {
      await this.#append(buffer, puts);
      await publisher.submit((turn) => {
        buckets.check(bucket);
        for (const put of puts) this.#publication.put(turn, objectOf(put));
      });
      for (const { at } of puts) at?.settle();
    } finally {
      for (const { target } of puts) flights.end(target.hash.home);
    }
  }

  /** Those that an earlier attempt has synced keep their place. */
  async #append(buffer: BucketBuffer, puts: readonly PendingPut[]): Promise<void> {
    const { bucket } = buffer;
    const { counters, space, writers } = this.#parts;
    const records: { readonly put: PendingPut; readonly record: RecordPieces }[] = [];
    let bytes = 0;
    for (const put of puts) {
      if (put.at !== undefined) continue;
      const { pieces, sizeBytes } = put.fields;
      const stored = await storedIn(bucket, pieces, sizeBytes);
      put.sequence ??= counters.takeSerial();
      const record = encodeObject(put.target, { ...put.fields, ...stored }, put.sequence);
      records.push({ put, record });
      bytes += record.lengthBytes;
      if (bytes < ENCODE_BYTES) continue;
      bytes = 0;
      await nextTurn();
    }
    const writer = writers.of(bucket);
    const results = await Promise.allSettled(
      records.map(async ({ put, record }) => {
        buffer.wrote(put, await writer.appendPieces(record));
        space.settle(put.heldBytes);
      }),
    );
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /** The first failure is reported, those with the same code after it are only counted. */
  #failed(buffer: BucketBuffer, error: unknown): void {
    const reason = error instanceof Error ? error : new Error(String(error));
    this.counts.failures++;
    if (buffer.failure === undefined || codeOf(buffer.failure) !== codeOf(reason)) {
      const message = `${textOf(buffer)} cannot be written: ${reason.message}`;
      this.#parts.onError(new Error(message, { cause: reason }));
    }
    buffer.failure = reason;
    this.#arm();
  }

  /** Of a bucket that was deleted. */
  drop(bucket: Bucket): void {
    this.#buffers.delete(bucket);
  }

  /** Writes what it has, and takes no more. @throws BusyError if that fails: it is lost then */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#background;
    await this.flush();
  }
}

function objectOf(put: PendingPut): Parameters<Publication['put']>[1] {
  const { target, fields, sequence, at } = put;
  if (sequence === undefined || at === undefined) throw new Error('a put is published unwritten');
  const { bucket, name, hash } = target;
  const { sizeBytes, modifiedMs } = fields;
  return { bucket, name, hash, sequence, at, etag: put.etag, sizeBytes, modifiedMs };
}

/** True if so much of the bucket's quota is not written that its volumes do not say what it has. */
function isLargeShare({ bucket, failure, unwrittenBytes }: BucketBuffer): boolean {
  const { quotaBytes } = bucket.policy;
  if (quotaBytes === undefined || failure !== undefined) return false;
  return unwrittenBytes > shareOfQuota(quotaBytes);
}

function codeOf(error: Error): unknown {
  return (error as { code?: unknown }).code;
}

function textOf({ bucket }: BucketBuffer): string {
  return `the write buffer of bucket ${quoted(bucket.name)}`;
}

function refusalOf(buffer: BucketBuffer, error: unknown): BusyError {
  const reason = error instanceof Error ? error.message : String(error);
  const why = `${textOf(buffer)} cannot be written (${reason})`;
  return new BusyError(RETRY_AFTER_MS, why, { cause: error });
}
