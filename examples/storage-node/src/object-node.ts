/**
 * What a protocol asks of a node: buckets, objects, uploads in parts. `StorageNode` implements it;
 * the S3 server and the tests know nothing else of the engine.
 *
 * A name is a string of at most 1,024 bytes of UTF-8. Names are ordered by their UTF-8 bytes. Sizes
 * and offsets are bytes, times are milliseconds since 1970.
 */

/** Headers and values that a client stored with an object, and gets back as they were. */
export interface ObjectMeta {
  /** Lower-case header names (`content-type`, `cache-control`, `x-amz-meta-…`) to values. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tags?: Readonly<Record<string, string>>;
  /** Checksums that the client sent or asked for: algorithm in upper case to base64. */
  readonly checksums?: Readonly<Record<string, string>>;
  readonly checksumType?: 'FULL_OBJECT' | 'COMPOSITE';
}

export interface ObjectInfo {
  readonly bucket: string;
  readonly name: string;
  readonly sizeBytes: number;
  /** Without quotes: 32 hexadecimal digits, then `-N` for an object of N parts. */
  readonly etag: string;
  readonly modifiedMs: number;
}

/** As `ObjectInfo`, with what stands in the volume beside the body: one read more. */
export interface ObjectDetails extends ObjectInfo {
  readonly meta: ObjectMeta;
  /** Of an object that was uploaded in parts. */
  readonly uploadId?: string;
  readonly parts?: readonly PartInfo[];
}

export interface PartInfo {
  /** 1 to 10,000. */
  readonly number: number;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly modifiedMs: number;
  readonly checksums?: Readonly<Record<string, string>>;
}

export interface UploadInfo {
  readonly uploadId: string;
  readonly bucket: string;
  readonly name: string;
  readonly startedMs: number;
  readonly meta: ObjectMeta;
}

export interface BucketInfo {
  readonly name: string;
  readonly createdMs: number;
}

/**
 * Judged in the same step that publishes the change. `'*'` is any object; a list holds ETags
 * without quotes.
 *
 * @throws PreconditionFailedError (from the call that carries it) where it does not hold.
 */
export interface Condition {
  readonly ifMatch?: '*' | readonly string[];
  readonly ifNoneMatch?: '*' | readonly string[];
}

/** What is known of a body after its last byte: the caller digests and checks what it streams. */
export interface BodyDescription {
  readonly etag: string;
  readonly meta: ObjectMeta;
}

export interface PutOptions {
  /**
   * Called once after the last byte of the body, before anything of it can be seen. It may throw
   * (a digest that does not match): then nothing was stored, and the call rejects with its error.
   */
  readonly describe: () => BodyDescription | Promise<BodyDescription>;
  readonly condition?: Condition;
  /** Where it is known: the node refuses early what cannot fit, and a body of another size. */
  readonly sizeBytes?: number;
  readonly signal?: AbortSignal;
}

/** Bytes in chunks of any size. The node takes no more than it can hold, and awaits. */
export type Body = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export interface ByteRange {
  readonly startBytes: number;
  /** Exclusive. */
  readonly endBytes: number;
}

/**
 * One object at one moment. It pins what it reads: close it, or read `body` to its end.
 */
export interface ObjectReader {
  readonly details: ObjectDetails;
  /**
   * Verified bytes of the range, or of the whole.
   * Throws DamagedObjectError before a wrong byte.
   */
  body(range?: ByteRange): AsyncIterable<Uint8Array>;
  close(): void;
}

export interface ListOptions {
  readonly prefix?: string;
  readonly delimiter?: string;
  /** Only names (and common prefixes) behind it. */
  readonly after?: string;
  /** Objects and common prefixes together; 1,000 unless told. */
  readonly limit?: number;
}

export interface ObjectList {
  readonly objects: readonly ObjectInfo[];
  readonly prefixes: readonly string[];
  /** Where the next page begins (`after`); absent at the end. */
  readonly next?: string;
}

export interface UploadListOptions extends ListOptions {
  /** With `after` as a name: only uploads of that name behind this id, and later names. */
  readonly afterUploadId?: string;
}

export interface UploadList {
  readonly uploads: readonly UploadInfo[];
  readonly prefixes: readonly string[];
  readonly next?: { readonly name: string; readonly uploadId: string };
}

export interface ObjectNode {
  /** Resolves to false where the bucket stood already. */
  createBucket(name: string): Promise<boolean>;
  bucket(name: string): BucketInfo | undefined;
  buckets(): readonly BucketInfo[];
  /** @throws NoSuchBucketError, BucketNotEmptyError */
  deleteBucket(name: string): Promise<void>;

  /**
   * Durable when it resolves.
   *
   * @throws NoSuchBucketError, PreconditionFailedError, BusyError, NoSpaceError
   */
  put(bucket: string, name: string, body: Body, options: PutOptions): Promise<ObjectInfo>;
  /** From memory, without a read of a volume. @throws NoSuchBucketError */
  info(bucket: string, name: string): Promise<ObjectInfo | undefined>;
  /** @throws NoSuchBucketError, DamagedObjectError */
  open(bucket: string, name: string): Promise<ObjectReader | undefined>;
  /**
   * Durable when it resolves: false where there was none.
   *
   * @throws NoSuchBucketError, PreconditionFailedError
   */
  delete(
    bucket: string,
    name: string,
    options?: { readonly condition?: Condition },
  ): Promise<boolean>;
  /** Replaces what stands beside the body, without copying it. @throws NoSuchObjectError */
  setMeta(
    bucket: string,
    name: string,
    change: (details: ObjectDetails) => ObjectMeta,
  ): Promise<ObjectInfo>;
  /** @throws NoSuchBucketError */
  list(bucket: string, options?: ListOptions): Promise<ObjectList>;

  createUpload(bucket: string, name: string, meta: ObjectMeta): Promise<UploadInfo>;
  upload(bucket: string, name: string, uploadId: string): Promise<UploadInfo | undefined>;
  /** A part of the same number is replaced. @throws NoSuchUploadError */
  putPart(uploadId: string, number: number, body: Body, options: PutOptions): Promise<PartInfo>;
  /** In the order of their numbers. @throws NoSuchUploadError */
  parts(uploadId: string): Promise<readonly PartInfo[]>;
  /**
   * One batch makes the object of the parts named, and ends the upload. Done again with the same
   * upload id it resolves to the object that it made, as long as that is the newest of its name.
   *
   * @throws NoSuchUploadError, InvalidPartError, PreconditionFailedError
   */
  completeUpload(
    bucket: string,
    name: string,
    uploadId: string,
    parts: readonly { readonly number: number; readonly etag: string }[],
    description: BodyDescription,
    condition?: Condition,
  ): Promise<ObjectInfo>;
  /** @throws NoSuchUploadError */
  abortUpload(uploadId: string): Promise<void>;
  uploads(bucket: string, options?: UploadListOptions): Promise<UploadList>;
}
