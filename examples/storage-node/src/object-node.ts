/**
 * The interface of a node for protocols: buckets, objects, multipart uploads. `StorageNode`
 * implements it; the S3 server and the tests know nothing else of the engine.
 *
 * A name is a string of at most 1,024 bytes of UTF-8. Names are ordered by their UTF-8 bytes. Sizes
 * and offsets are bytes, times are milliseconds since 1970.
 */

/** Headers and values that a client stored with an object, returned unchanged. */
export interface ObjectMeta {
  /** Lower-case header names (`content-type`, `cache-control`, `x-amz-meta-…`) to values. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tags?: Readonly<Record<string, string>>;
  /** Checksums that the client sent or requested: algorithm in upper case to base64. */
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

/** As `ObjectInfo`, plus what the volume has beside the body, for one more read. */
export interface ObjectDetails extends ObjectInfo {
  readonly meta: ObjectMeta;
  /** Only for an object that was uploaded in parts. */
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
 * Checked in the same step that publishes the change. `'*'` is any object; a list has ETags without
 * quotes. `ifSizeBytes` and `ifModifiedSecond` are of the existing object; the second is counted
 * since 1970.
 *
 * @throws PreconditionFailedError from the call that has it, if it does not hold.
 */
export interface Condition {
  readonly ifMatch?: '*' | readonly string[];
  readonly ifNoneMatch?: '*' | readonly string[];
  readonly ifSizeBytes?: number;
  readonly ifModifiedSecond?: number;
}

/**
 * The description of a body after its last byte: the caller computes digests and checks what it
 * streams.
 */
export interface BodyDescription {
  readonly etag: string;
  readonly meta: ObjectMeta;
}

export interface PutOptions {
  /**
   * Called once after the last byte of the body, before any of it becomes visible. It may throw,
   * for example if a digest does not match: then nothing is stored, and the call rejects with its
   * error.
   */
  readonly describe: () => BodyDescription | Promise<BodyDescription>;
  readonly condition?: Condition | undefined;
  /** Durable when the call resolves, also in a bucket with deferred acknowledgement. */
  readonly acknowledge?: 'synced';
  /** Optional. With it, the node refuses early what cannot fit, and a body of another size. */
  readonly sizeBytes?: number | undefined;
  readonly signal?: AbortSignal;
}

/**
 * Bytes in chunks of any size, which must stay as they are until the call has settled. The node
 * waits when it cannot take more.
 */
export type Body = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export interface ByteRange {
  readonly startBytes: number;
  /** Exclusive. */
  readonly endBytes: number;
}

export interface OpenOptions {
  /**
   * The bytes of the body that will be read; undefined: all. Called once, before the call waits for
   * anything. The call rejects with what it throws. Only the places of these bytes are looked up,
   * which saves time with an object of many parts.
   */
  readonly wanted?: (object: ObjectInfo) => ByteRange | undefined;
}

/** Of a caller that reads no byte of the body. */
export const NO_BYTES: ByteRange = { startBytes: 0, endBytes: 0 };

/** One object at one moment. It pins what it reads: close it, or read `body` to its end. */
export interface ObjectReader {
  readonly details: ObjectDetails;
  /**
   * Verified bytes of the range, or of the whole object. Throws DamagedObjectError before a wrong
   * byte, and RangeError for bytes that were not wanted when it was opened.
   */
  body(range?: ByteRange): AsyncIterable<Uint8Array>;
  /**
   * As `body`, at once, if all of it has been read already; undefined if it has not. Optional: a
   * node may have only `body`. Throws DamagedObjectError.
   */
  heldBody?(range?: ByteRange): Uint8Array | undefined;
  close(): void;
}

export interface ListOptions {
  readonly prefix?: string;
  readonly delimiter?: string;
  /** Only names and common prefixes after it. */
  readonly after?: string;
  /** Objects and common prefixes together. Default 1,000. */
  readonly limit?: number;
}

export interface ObjectList {
  readonly objects: readonly ObjectInfo[];
  readonly prefixes: readonly string[];
  /** The start of the next page (`after`); absent at the end. */
  readonly next?: string;
}

export interface UploadListOptions extends ListOptions {
  /** With `after` as a name: only uploads of that name after this id, and later names. */
  readonly afterUploadId?: string;
}

export interface UploadList {
  readonly uploads: readonly UploadInfo[];
  readonly prefixes: readonly string[];
  readonly next?: { readonly name: string; readonly uploadId: string };
}

export interface ObjectNode {
  /** Resolves to false if the bucket already exists. */
  createBucket(name: string): Promise<boolean>;
  bucket(name: string): BucketInfo | undefined;
  buckets(): readonly BucketInfo[];
  /** @throws NoSuchBucketError, BucketNotEmptyError */
  deleteBucket(name: string): Promise<void>;

  /**
   * Durable when it resolves, except in a bucket with deferred acknowledgement: there a PUT without
   * a condition, of a body that fits one extent, is durable at most about a second later.
   *
   * @throws NoSuchBucketError, PreconditionFailedError, BusyError, NoSpaceError
   */
  put(bucket: string, name: string, body: Body, options: PutOptions): Promise<ObjectInfo>;
  /** From memory, without reading a volume. @throws NoSuchBucketError */
  info(bucket: string, name: string): Promise<ObjectInfo | undefined>;
  /** @throws NoSuchBucketError, DamagedObjectError */
  open(bucket: string, name: string, options?: OpenOptions): Promise<ObjectReader | undefined>;
  /**
   * Durable when it resolves. False if there was no object.
   *
   * @throws NoSuchBucketError, PreconditionFailedError
   */
  delete(
    bucket: string,
    name: string,
    options?: { readonly condition?: Condition },
  ): Promise<boolean>;
  /** Replaces the metadata of an object without copying its body. @throws NoSuchObjectError */
  setMeta(
    bucket: string,
    name: string,
    change: (details: ObjectDetails) => ObjectMeta,
  ): Promise<ObjectInfo>;
  /** @throws NoSuchBucketError */
  list(bucket: string, options?: ListOptions): Promise<ObjectList>;

  createUpload(bucket: string, name: string, meta: ObjectMeta): Promise<UploadInfo>;
  upload(bucket: string, name: string, uploadId: string): Promise<UploadInfo | undefined>;
  /** Replaces an existing part of the same number. @throws NoSuchUploadError */
  putPart(uploadId: string, number: number, body: Body, options: PutOptions): Promise<PartInfo>;
  /** Ordered by number. @throws NoSuchUploadError */
  parts(uploadId: string): Promise<readonly PartInfo[]>;
  /**
   * One batch creates the object from the named parts, and ends the upload. A repeated call with
   * the same upload id resolves to the object that it created, while that is the newest of its
   * name.
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
