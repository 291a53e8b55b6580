import { randomBytes } from 'node:crypto';
import { nodeFileSystem } from 'lodestore/fs';
import { NodeError } from './node-errors.ts';
import type {
  Body,
  BodyDescription,
  BucketInfo,
  Condition,
  ListOptions,
  ObjectDetails,
  ObjectInfo,
  ObjectList,
  ObjectMeta,
  ObjectNode,
  ObjectReader,
  OpenOptions,
  PartInfo,
  PutOptions,
  UploadInfo,
  UploadList,
  UploadListOptions,
} from './object-node.ts';
import { figuresOf } from './figures.ts';
import { isFull } from './full-disk-watch.ts';
import type { FiguresSource, NodeFigures } from './node-figures.ts';
import type { BucketPolicy } from './ledger/bucket-record.ts';
import { byteNameOf } from './names/byte-name.ts';
import { checkedOptions, type NodeEnvironment, type NodeOptions } from './node-options.ts';
import { openParts, type NodeRecovery, type OpenedParts } from './opening.ts';
import { BucketKeeper, type BucketDetails } from './objects/bucket-keeper.ts';
import { listObjects } from './objects/listing.ts';
import { ObjectFinder } from './objects/object-finder.ts';
import { ObjectWriter } from './objects/object-writer.ts';
import type { PendingPut } from './objects/pending-put.ts';
import { Publication } from './objects/publication.ts';
import { Uploads } from './objects/uploads.ts';
import { WriteBuffer } from './objects/write-buffer.ts';
import { keptAlive } from './upkeep/kept-alive.ts';
import { recount, type Recount } from './upkeep/recount.ts';
import type { ScrubReport } from './upkeep/scrubber.ts';
import { Upkeep } from './upkeep/upkeep.ts';
import type { Volume } from './volumes/volume.ts';
import { RecentErrors } from './recent-errors.ts';
import { nextTurn, refusedNextTurn } from './turn-pace.ts';
import { uploadSpaceOf, type UploadSpace } from './upload-space.ts';

export interface WorkProgress {
  readonly volume: number;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** The default environment of a node. */
export const MACHINE: NodeEnvironment = {
  files: nodeFileSystem,
  now: Date.now,
  randomBytes,
};

/**
 * A storage node in this process: buckets of objects in a directory, durable when a call resolves.
 *
 * Bodies are records in volumes, which are append-only. Metadata is in lodestore, below
 * `metadata/`: the place of each object and a few attributes. Names are in blocks in separate
 * volumes. Each change is written in this order: the record, in a group with one sync; then one
 * batch of the metadata that makes the whole change visible.
 */
export class StorageNode implements ObjectNode, FiguresSource, AsyncDisposable {
  readonly recovery: NodeRecovery;
  readonly #opened: OpenedParts;
  readonly #finder: ObjectFinder;
  readonly #buffer: WriteBuffer;
  readonly #writer: ObjectWriter;
  readonly #uploads: Uploads;
  readonly #buckets: BucketKeeper;
  readonly #upkeep: Upkeep;
  readonly #errors: RecentErrors;
  /** The end of the first call of `close`. */
  #closed: Promise<void> | undefined;

  private constructor(opened: OpenedParts, options: Required<NodeOptions>, errors: RecentErrors) {
    const { parts } = opened;
    this.#opened = opened;
    this.recovery = opened.recovery;
    const publication = new Publication(parts);
    this.#finder = new ObjectFinder(parts);
    this.#buffer = new WriteBuffer(parts, publication, {
      limitBytes: options.writeBufferBytes,
      maxWaiting: options.maxWaiting,
      maxWaitMs: options.maxWaitMs,
      everyMs: options.writeBufferMs,
    });
    this.#writer = new ObjectWriter(parts, publication, this.#finder, this.#buffer);
    const { marks } = this.#writer;
    this.#uploads = new Uploads(parts, publication, this.#writer, this.#finder, this.#buffer);
    this.#buckets = new BucketKeeper(parts, this.#uploads, marks, this.#buffer);
    this.#errors = errors;
    this.#upkeep = new Upkeep({
      parts,
      space: opened.space,
      publication,
      uploads: this.#uploads,
      marks,
      unwrittenBytes: (bucket) => this.#buffer.unwrittenBytes(bucket),
      compactDeadRatio: options.compactDeadRatio,
      compactBytesPerSecond: options.compactBytesPerSecond,
      scrubBytesPerSecond: options.scrubBytesPerSecond,
      everyMs: options.upkeepMs,
    });
    this.#upkeep.start();
  }

  /**
   * Opens the node in `directory`, which is created if it does not exist.
   *
   * @throws NodeRefusedError with advice if volumes are missing or belong to another node.
   * @throws NodeError `BAD_OPTION`; the metadata store's errors, such as LODESTORE_LOCKED
   */
  static async open(
    directory: string,
    options: NodeOptions = {},
    environment: NodeEnvironment = MACHINE,
  ): Promise<StorageNode> {
    const checked = checkedOptions(options);
    const errors = new RecentErrors(environment.now);
    const events = errors.events(checked);
    const opened = await openParts(directory, { ...checked, ...events }, environment);
    return new StorageNode(opened, checked, errors);
  }

  #check(): void {
    if (this.#closed !== undefined) throw new NodeError('CLOSED', 'the node is closed');
  }

  /**
   * `policy`: how the bucket frees space, by default only by deletes; and when it acknowledges, by
   * default when an object is durable. False if the bucket already exists, with any policy.
   *
   * @throws NodeError `BAD_NAME`, `BAD_OPTION`
   */
  async createBucket(name: string, policy?: BucketPolicy): Promise<boolean> {
    this.#check();
    return refusedNextTurn(this.#buckets.create(name, policy));
  }

  bucket(name: string): BucketInfo | undefined {
    return this.#buckets.get(name);
  }

  buckets(): readonly BucketInfo[] {
    return this.#buckets.all();
  }

  /** All buckets, with policy and contents. PUTs that cannot be made durable are not counted. */
  async describeBuckets(): Promise<readonly BucketDetails[]> {
    this.#check();
    // A failure is reported by the buffer.
    await this.#buffer.flush().catch(() => undefined);
    return this.#buckets.details();
  }

  async deleteBucket(name: string): Promise<void> {
    this.#check();
    await refusedNextTurn(this.#buckets.delete(name));
  }

  async put(bucket: string, name: string, body: Body, options: PutOptions): Promise<ObjectInfo> {
    this.#check();
    return refusedNextTurn(this.#writer.put(bucket, name, body, options));
  }

  async info(bucket: string, name: string): Promise<ObjectInfo | undefined> {
    return this.#pending(bucket, name)?.info ?? this.#finder.info(bucket, name);
  }

  async open(
    bucket: string,
    name: string,
    options?: OpenOptions,
  ): Promise<ObjectReader | undefined> {
    this.#check();
    return this.#pending(bucket, name)?.reader() ?? this.#finder.open(bucket, name, options);
  }

  /** @throws NoSuchBucketError */
  #pending(bucket: string, name: string): PendingPut | undefined {
    return this.#buffer.find(this.#opened.parts.buckets.get(bucket), byteNameOf(name));
  }

  /**
   * Everything acknowledged before is durable when it resolves, also in buckets with deferred
   * acknowledgement.
   *
   * @throws BusyError if the write buffer cannot be written
   */
  async flush(): Promise<void> {
    this.#check();
    await this.#buffer.flush();
  }

  async delete(
    bucket: string,
    name: string,
    options: { readonly condition?: Condition } = {},
  ): Promise<boolean> {
    this.#check();
    return refusedNextTurn(this.#writer.delete(bucket, name, options.condition));
  }

  async setMeta(
    bucket: string,
    name: string,
    change: (details: ObjectDetails) => ObjectMeta,
  ): Promise<ObjectInfo> {
    this.#check();
    return refusedNextTurn(this.#writer.setMeta(bucket, name, change));
  }

  async list(bucketName: string, options: ListOptions = {}): Promise<ObjectList> {
    this.#check();
    const { buckets, names } = this.#opened.parts;
    const bucket = buckets.get(bucketName);
    const pending = this.#buffer.namesOf(bucket);
    return listObjects(names, bucket, options, pending, (name, text) => {
      return this.#buffer.find(bucket, name)?.info ?? this.#finder.infoOf(bucket, name, text);
    });
  }

  async createUpload(bucket: string, name: string, meta: ObjectMeta): Promise<UploadInfo> {
    this.#check();
    return refusedNextTurn(this.#uploads.create(bucket, name, meta));
  }

  async upload(bucket: string, name: string, uploadId: string): Promise<UploadInfo | undefined> {
    return this.#uploads.get(bucket, name, uploadId);
  }

  async putPart(
    uploadId: string,
    number: number,
    body: Body,
    options: PutOptions,
  ): Promise<PartInfo> {
    this.#check();
    return refusedNextTurn(this.#uploads.putPart(uploadId, number, body, options));
  }

  async parts(uploadId: string): Promise<readonly PartInfo[]> {
    return this.#uploads.parts(uploadId);
  }

  async completeUpload(
    bucket: string,
    name: string,
    uploadId: string,
    parts: readonly { readonly number: number; readonly etag: string }[],
    description: BodyDescription,
    condition?: Condition,
  ): Promise<ObjectInfo> {
    this.#check();
    return refusedNextTurn(
      this.#uploads.complete(bucket, name, uploadId, parts, description, condition),
    );
  }

  async abortUpload(uploadId: string): Promise<void> {
    this.#check();
    await refusedNextTurn(this.#uploads.abort(uploadId));
  }

  async uploads(bucketName: string, options: UploadListOptions = {}): Promise<UploadList> {
    const bucket = this.#opened.parts.buckets.get(bucketName);
    return this.#uploads.list(bucket, options);
  }

  /** Does all upkeep that is due. Resolves to the number of volumes that were emptied. */
  async compact(): Promise<number> {
    this.#check();
    return keptAlive(this.#upkeep.run());
  }

  /** Drops the oldest volume of a bucket that is a cache, or has a quota or a time to live. */
  async evict(bucket: string): Promise<number | undefined> {
    this.#check();
    return keptAlive(this.#upkeep.evict(bucket));
  }

  /**
   * Reads all live data. `bytesPerSecond` 0: unlimited. `signal` ends it early: the call rejects
   * with its reason.
   */
  async scrub(
    options: {
      readonly bytesPerSecond?: number;
      readonly onVolume?: (number: number) => void;
      readonly signal?: AbortSignal;
    } = {},
  ): Promise<ScrubReport> {
    this.#check();
    const { bytesPerSecond = 0, onVolume, signal } = options;
    const tell = (volume: Volume): void => onVolume?.(volume.number);
    return keptAlive(this.#upkeep.scrub(bytesPerSecond, tell, signal));
  }

  /**
   * Recounts live bytes from the metadata and compares; exact while others write. Without what is
   * in the write buffer.
   */
  async recount(): Promise<Recount> {
    this.#check();
    return recount(this.#opened.parts);
  }

  /** Why the metadata store accepts no more writes; undefined: it does. */
  get failure(): Error | undefined {
    return this.#opened.parts.publisher.failure;
  }

  /** True if PUTs are refused for lack of space, as of the last look at the disk. */
  get isFull(): boolean {
    return isFull(this.#opened.space);
  }

  /** Changes of the metadata and acknowledgements of the buffer since the node was opened. */
  get changes(): number {
    return this.#opened.parts.publisher.figures.changes + this.#buffer.counts.puts;
  }

  /** Progress of the work on a volume; undefined if none runs. */
  progress(what: 'compacting' | 'scrubbing'): WorkProgress | undefined {
    const { compactor, scrubber } = this.#upkeep;
    const current = what === 'compacting' ? compactor.current : scrubber.current;
    if (current === undefined) return undefined;
    const { volume, doneBytes } = current;
    return { volume: volume.number, doneBytes, totalBytes: volume.endBytes };
  }

  /** Resolves when no fold, mark, write or publication is running or waiting. */
  async settled(): Promise<void> {
    const { names, publisher, writers } = this.#opened.parts;
    await this.#buffer.flush();
    await names.folds.idle();
    for (;;) {
      await writers.idle();
      await publisher.idle();
      await this.#upkeep.retired();
      if (this.#writer.marks.inFlight === 0 && names.folds.waiting === 0) return;
      await nextTurn();
    }
  }

  figures(): Promise<NodeFigures> {
    return figuresOf({
      parts: this.#opened.parts,
      space: this.#opened.space,
      buffer: this.#buffer,
      upkeep: this.#upkeep,
      uploads: this.#uploads,
      errors: this.#errors,
    });
  }

  /** Reads the record of each part of an incomplete upload. */
  uploadSpace(): Promise<UploadSpace> {
    return uploadSpaceOf(this.#opened.parts.store);
  }

  /**
   * Writes the write buffer, waits for calls in flight, and releases the directory. Idempotent:
   * each call settles as the first one. Executes every step, and rejects with the first failure.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const { names, publisher, store, volumes, writers } = this.#opened.parts;
    const failures: { readonly error: unknown }[] = [];
    const steps: readonly (() => Promise<unknown>)[] = [
      () => this.#buffer.close(),
      () => this.#upkeep.close(),
      () => names.folds.close(),
      () => this.#writer.marks.idle(),
      () => this.#writer.marks.writeKept(),
      () => writers.idle(),
      () => publisher.idle(),
      () => writers.close(),
      () => volumes.close(),
      () => store.close(),
    ];
    for (const step of steps) await step().catch((error: unknown) => failures.push({ error }));
    if (failures[0] !== undefined) throw failures[0].error;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
