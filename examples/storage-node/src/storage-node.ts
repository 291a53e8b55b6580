import { randomBytes } from 'node:crypto';
import { MetadataStore } from 'lodestore';
import { systemFiles } from './files/system-files.ts';
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
  PartInfo,
  PutOptions,
  UploadInfo,
  UploadList,
  UploadListOptions,
} from './object-node.ts';
import type { BucketPolicy } from './ledger/bucket-record.ts';
import { checkedOptions, type NodeEnvironment, type NodeOptions } from './node-options.ts';
import { openParts, type NodeRecovery, type OpenedParts } from './opening.ts';
import { BucketKeeper } from './objects/bucket-keeper.ts';
import { listObjects, listUploads } from './objects/listing.ts';
import { ObjectFinder } from './objects/object-finder.ts';
import { ObjectWriter } from './objects/object-writer.ts';
import { Publication } from './objects/publication.ts';
import { Uploads } from './objects/uploads.ts';

const MACHINE: NodeEnvironment = {
  files: systemFiles,
  openStore: (directory, options) => MetadataStore.open(directory, options),
  now: Date.now,
  randomBytes,
};

/**
 * A storage node in this process: buckets of objects in a directory, durable when a call resolves.
 *
 * Bodies are records in volumes, which are only appended to. Metadata is in lodestore, below
 * `metadata/`: where each object is, and a little about it. The names are in blocks in volumes of
 * their own. Each change is written in this order: the record, group by group, with one sync; then
 * one batch of the metadata that makes all of the change visible.
 */
export class StorageNode implements ObjectNode, AsyncDisposable {
  readonly recovery: NodeRecovery;
  readonly #opened: OpenedParts;
  readonly #finder: ObjectFinder;
  readonly #writer: ObjectWriter;
  readonly #uploads: Uploads;
  readonly #buckets: BucketKeeper;
  #state: 'open' | 'closing' | 'closed' = 'open';

  private constructor(opened: OpenedParts) {
    const { parts } = opened;
    this.#opened = opened;
    this.recovery = opened.recovery;
    const publication = new Publication(parts);
    this.#finder = new ObjectFinder(parts);
    this.#writer = new ObjectWriter(parts, publication, this.#finder);
    this.#uploads = new Uploads(parts, publication, this.#writer, this.#finder);
    this.#buckets = new BucketKeeper(parts, this.#uploads, this.#writer.marks);
  }

  /**
   * Opens the node in `directory`, which is made if it is not there.
   *
   * @throws NodeRefusedError: volumes are missing or belong to another node, with advice.
   * @throws NodeError `BAD_OPTION`; the metadata store's errors, such as LODESTORE_LOCKED
   */
  static open(
    directory: string,
    options: NodeOptions = {},
    environment: NodeEnvironment = MACHINE,
  ): Promise<StorageNode> {
    return openParts(directory, checkedOptions(options), environment).then(
      (opened) => new StorageNode(opened),
    );
  }

  #check(): void {
    if (this.#state !== 'open') throw new NodeError('CLOSED', 'the node is closed');
  }

  /** `policy`: how the bucket gives space back; by deletes alone unless told. */
  async createBucket(name: string, policy?: BucketPolicy): Promise<boolean> {
    this.#check();
    return this.#buckets.create(name, policy);
  }

  bucket(name: string): BucketInfo | undefined {
    return this.#buckets.get(name);
  }

  buckets(): readonly BucketInfo[] {
    return this.#buckets.all();
  }

  async deleteBucket(name: string): Promise<void> {
    this.#check();
    await this.#buckets.delete(name);
  }

  async put(bucket: string, name: string, body: Body, options: PutOptions): Promise<ObjectInfo> {
    this.#check();
    return this.#writer.put(bucket, name, body, options);
  }

  async info(bucket: string, name: string): Promise<ObjectInfo | undefined> {
    return this.#finder.info(bucket, name);
  }

  async open(bucket: string, name: string): Promise<ObjectReader | undefined> {
    this.#check();
    return this.#finder.open(bucket, name);
  }

  async delete(
    bucket: string,
    name: string,
    options: { readonly condition?: Condition } = {},
  ): Promise<boolean> {
    this.#check();
    return this.#writer.delete(bucket, name, options.condition);
  }

  async setMeta(
    bucket: string,
    name: string,
    change: (details: ObjectDetails) => ObjectMeta,
  ): Promise<ObjectInfo> {
    this.#check();
    return this.#writer.setMeta(bucket, name, change);
  }

  async list(bucketName: string, options: ListOptions = {}): Promise<ObjectList> {
    this.#check();
    const { buckets, names } = this.#opened.parts;
    const bucket = buckets.get(bucketName);
    return listObjects(names, bucket, options, (name, text) =>
      this.#finder.infoOf(bucket, name, text),
    );
  }

  async createUpload(bucket: string, name: string, meta: ObjectMeta): Promise<UploadInfo> {
    this.#check();
    return this.#uploads.create(bucket, name, meta);
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
    return this.#uploads.putPart(uploadId, number, body, options);
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
    return this.#uploads.complete(bucket, name, uploadId, parts, description, condition);
  }

  async abortUpload(uploadId: string): Promise<void> {
    this.#check();
    await this.#uploads.abort(uploadId);
  }

  async uploads(bucketName: string, options: UploadListOptions = {}): Promise<UploadList> {
    const bucket = this.#opened.parts.buckets.get(bucketName);
    return listUploads(this.#uploads.listed(bucket), options);
  }

  /** Waits for what is under way, and gives the directory free. Idempotent. */
  async close(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    const { names, publisher, store, volumes, writers } = this.#opened.parts;
    await names.folds.close();
    await writers.idle();
    await publisher.idle();
    await writers.close();
    await volumes.close();
    await store.close();
    this.#state = 'closed';
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
