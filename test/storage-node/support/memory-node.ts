import { createHash, randomBytes } from 'node:crypto';
import {
  BucketNotEmptyError,
  InvalidPartError,
  NoSuchBucketError,
  NoSuchObjectError,
  NoSuchUploadError,
  PreconditionFailedError,
} from '../../../examples/storage-node/src/node-errors.ts';
import type {
  Body,
  BodyDescription,
  BucketInfo,
  ByteRange,
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
} from '../../../examples/storage-node/src/object-node.ts';

interface StoredObject {
  readonly details: ObjectDetails;
  readonly bytes: Buffer;
}

interface StoredPart {
  readonly info: PartInfo;
  readonly bytes: Buffer;
}

interface StoredUpload {
  readonly info: UploadInfo;
  readonly parts: Map<number, StoredPart>;
}

interface StoredBucket {
  readonly info: BucketInfo;
  readonly objects: Map<string, StoredObject>;
}

function compareNames(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

async function collect(body: Body): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(Uint8Array.from(piece));
  return Buffer.concat(pieces);
}

function assertCondition(condition: Condition | undefined, object: ObjectInfo | undefined): void {
  const matches = (etags: '*' | readonly string[]): boolean =>
    object !== undefined && (etags === '*' || etags.includes(object.etag));
  const { ifMatch, ifNoneMatch, ifSizeBytes, ifModifiedSecond } = condition ?? {};
  const { sizeBytes, modifiedMs = NaN } = object ?? {};
  if (ifMatch !== undefined && !matches(ifMatch)) throw new PreconditionFailedError('ifMatch');
  if (ifNoneMatch !== undefined && matches(ifNoneMatch)) {
    throw new PreconditionFailedError('ifNoneMatch');
  }
  if (ifSizeBytes !== undefined && ifSizeBytes !== sizeBytes) {
    throw new PreconditionFailedError('ifSizeBytes');
  }
  if (ifModifiedSecond !== undefined && ifModifiedSecond !== Math.floor(modifiedMs / 1000)) {
    throw new PreconditionFailedError('ifModifiedSecond');
  }
}

/** One page of sorted names and common prefixes. */
function pageOf(
  names: readonly string[],
  { prefix = '', delimiter = '', after, limit = 1000 }: ListOptions,
): { names: string[]; prefixes: string[]; next?: string } {
  const shown: string[] = [];
  const prefixes: string[] = [];
  let last: string | undefined;
  for (const name of names) {
    if (!name.startsWith(prefix)) continue;
    const cut = delimiter === '' ? -1 : name.indexOf(delimiter, prefix.length);
    const entry = cut < 0 ? name : name.slice(0, cut + delimiter.length);
    if (after !== undefined && compareNames(entry, after) <= 0) continue;
    if (cut >= 0 && prefixes.at(-1) === entry) continue;
    if (shown.length + prefixes.length === limit) {
      return { names: shown, prefixes, ...(last !== undefined && { next: last }) };
    }
    (cut < 0 ? shown : prefixes).push(entry);
    last = entry;
  }
  return { names: shown, prefixes };
}

/**
 * A minimal `ObjectNode` in memory: the reference for other nodes, and the node of the protocol
 * tests.
 */
export class MemoryNode implements ObjectNode {
  readonly #buckets = new Map<string, StoredBucket>();
  readonly #uploads = new Map<string, StoredUpload>();
  readonly #now: () => number;
  /** The number of open readers. */
  openReaders = 0;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  async createBucket(name: string): Promise<boolean> {
    if (this.#buckets.has(name)) return false;
    this.#buckets.set(name, { info: { name, createdMs: this.#now() }, objects: new Map() });
    return true;
  }

  bucket(name: string): BucketInfo | undefined {
    return this.#buckets.get(name)?.info;
  }

  buckets(): readonly BucketInfo[] {
    return [...this.#buckets.values()].map(({ info }) => info);
  }

  async deleteBucket(name: string): Promise<void> {
    if (this.#objects(name).size > 0) throw new BucketNotEmptyError(name);
    this.#buckets.delete(name);
    for (const [id, { info }] of this.#uploads) {
      if (info.bucket === name) this.#uploads.delete(id);
    }
  }

  async put(bucket: string, name: string, body: Body, options: PutOptions): Promise<ObjectInfo> {
    this.#objects(bucket);
    const bytes = await collect(body);
    const { etag, meta } = await options.describe();
    return this.#publish(bucket, name, bytes, { etag, meta }, options.condition);
  }

  async info(bucket: string, name: string): Promise<ObjectInfo | undefined> {
    return this.#objects(bucket).get(name)?.details;
  }

  async open(bucket: string, name: string): Promise<ObjectReader | undefined> {
    const object = this.#objects(bucket).get(name);
    if (object === undefined) return undefined;
    const { details, bytes } = object;
    this.openReaders++;
    let isOpen = true;
    return {
      details,
      async *body(range?: ByteRange): AsyncGenerator<Uint8Array, void> {
        const { startBytes = 0, endBytes = bytes.length } = range ?? {};
        for (let at = startBytes; at < endBytes; at += 65536) {
          yield bytes.subarray(at, Math.min(endBytes, at + 65536));
        }
      },
      close: (): void => {
        if (isOpen) this.openReaders--;
        isOpen = false;
      },
    };
  }

  async delete(
    bucket: string,
    name: string,
    options: { readonly condition?: Condition } = {},
  ): Promise<boolean> {
    const objects = this.#objects(bucket);
    assertCondition(options.condition, objects.get(name)?.details);
    return objects.delete(name);
  }

  async setMeta(
    bucket: string,
    name: string,
    change: (details: ObjectDetails) => ObjectMeta,
  ): Promise<ObjectInfo> {
    const objects = this.#objects(bucket);
    const object = objects.get(name);
    if (object === undefined) throw new NoSuchObjectError(bucket, name);
    const details = { ...object.details, meta: change(object.details) };
    objects.set(name, { ...object, details });
    return details;
  }

  async list(bucket: string, options: ListOptions = {}): Promise<ObjectList> {
    const objects = this.#objects(bucket);
    const { names, ...rest } = pageOf([...objects.keys()].sort(compareNames), options);
    return { ...rest, objects: names.map((name) => objects.get(name)!.details) };
  }

  async createUpload(bucket: string, name: string, meta: ObjectMeta): Promise<UploadInfo> {
    this.#objects(bucket);
    const uploadId = randomBytes(16).toString('hex');
    const info = { uploadId, bucket, name, startedMs: this.#now(), meta };
    this.#uploads.set(uploadId, { info, parts: new Map() });
    return info;
  }

  async upload(bucket: string, name: string, uploadId: string): Promise<UploadInfo | undefined> {
    const info = this.#uploads.get(uploadId)?.info;
    return info?.bucket === bucket && info.name === name ? info : undefined;
  }

  async putPart(
    uploadId: string,
    number: number,
    body: Body,
    options: PutOptions,
  ): Promise<PartInfo> {
    this.#upload(uploadId);
    const bytes = await collect(body);
    const { etag, meta } = await options.describe();
    const { checksums } = meta;
    const info: PartInfo = {
      number,
      sizeBytes: bytes.length,
      etag,
      modifiedMs: this.#now(),
      ...(checksums !== undefined && { checksums }),
    };
    this.#upload(uploadId).parts.set(number, { info, bytes });
    return info;
  }

  async parts(uploadId: string): Promise<readonly PartInfo[]> {
    const parts = [...this.#upload(uploadId).parts.values()].map(({ info }) => info);
    return parts.sort((a, b) => a.number - b.number);
  }

  async completeUpload(
    bucket: string,
    name: string,
    uploadId: string,
    parts: readonly { readonly number: number; readonly etag: string }[],
    description: BodyDescription,
    condition?: Condition,
  ): Promise<ObjectInfo> {
    const before = this.#objects(bucket).get(name)?.details;
    if (before?.uploadId === uploadId) return before;
    const upload = this.#upload(uploadId);
    const chosen = parts.map(({ number, etag }) => {
      const part = upload.parts.get(number);
      if (part?.info.etag !== etag) throw new InvalidPartError(number);
      return part;
    });
    const bytes = Buffer.concat(chosen.map((part) => part.bytes));
    const infos = chosen.map(({ info }) => info);
    const object = this.#publish(bucket, name, bytes, description, condition, {
      uploadId,
      parts: infos,
    });
    this.#uploads.delete(uploadId);
    return object;
  }

  async abortUpload(uploadId: string): Promise<void> {
    this.#upload(uploadId);
    this.#uploads.delete(uploadId);
  }

  async uploads(bucket: string, options: UploadListOptions = {}): Promise<UploadList> {
    this.#objects(bucket);
    const { after, afterUploadId, limit = 1000, ...rest } = options;
    const isBehind = ({ name, uploadId }: UploadInfo): boolean => {
      if (after === undefined) return true;
      const order = compareNames(name, after);
      return order > 0 || (order === 0 && afterUploadId !== undefined && uploadId > afterUploadId);
    };
    const all = [...this.#uploads.values()]
      .map(({ info }) => info)
      .filter((info) => info.bucket === bucket)
      .sort((a, b) => compareNames(a.name, b.name) || (a.uploadId < b.uploadId ? -1 : 1));
    const names = [...new Set(all.filter(isBehind).map(({ name }) => name))];
    const page = pageOf(names, { ...rest, limit: Number.MAX_SAFE_INTEGER });
    const found = all.filter((info) => isBehind(info) && page.names.includes(info.name));
    const prefixes = page.prefixes.filter(
      (prefix) => after === undefined || compareNames(prefix, after) > 0,
    );
    const entries = [
      ...found.map((upload) => ({ name: upload.name, upload })),
      ...prefixes.map((name) => ({ name, upload: undefined })),
    ].sort((a, b) => compareNames(a.name, b.name));
    const shown = entries.slice(0, limit);
    const last = shown.length < entries.length ? shown.at(-1) : undefined;
    return {
      uploads: shown.flatMap(({ upload }) => upload ?? []),
      prefixes: shown.flatMap(({ name, upload }) => (upload === undefined ? [name] : [])),
      ...(last !== undefined && {
        next: { name: last.name, uploadId: last.upload?.uploadId ?? '' },
      }),
    };
  }

  #objects(bucket: string): Map<string, StoredObject> {
    const found = this.#buckets.get(bucket);
    if (found === undefined) throw new NoSuchBucketError(bucket);
    return found.objects;
  }

  #upload(uploadId: string): StoredUpload {
    const found = this.#uploads.get(uploadId);
    if (found === undefined) throw new NoSuchUploadError(uploadId);
    return found;
  }

  #publish(
    bucket: string,
    name: string,
    bytes: Buffer,
    { etag, meta }: BodyDescription,
    condition: Condition | undefined,
    further: { readonly uploadId?: string; readonly parts?: readonly PartInfo[] } = {},
  ): ObjectInfo {
    const objects = this.#objects(bucket);
    assertCondition(condition, objects.get(name)?.details);
    const details: ObjectDetails = {
      bucket,
      name,
      sizeBytes: bytes.length,
      etag,
      modifiedMs: this.#now(),
      meta,
      ...further,
    };
    objects.set(name, { details, bytes });
    return details;
  }
}

/** The ETag that S3 computes for a body in one piece. */
export function md5Hex(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex');
}
