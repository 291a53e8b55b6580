import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
  type CompletedPart,
  type S3Client,
} from '@aws-sdk/client-s3';
import { StoreClosedError } from '../../base/errors.ts';
import { requireKnownFields, type FieldsOf } from '../../base/fields.ts';
import {
  CheckpointStoreError,
  type CheckpointCallOptions,
  type CheckpointObject,
  type CheckpointSource,
  type CheckpointStore,
} from '../../replicated/checkpoint/checkpoint-store.ts';
import { checkedSource, checkObjectName } from '../../replicated/checkpoint/object-name.ts';

/**
 * Size of the parts of a larger object. Parts are uploaded one at a time, so this much is in
 * memory.
 */
const PART_BYTES: number = 16 * 1024 * 1024;

/** Options of `S3Checkpoints`. */
export interface S3CheckpointsOptions {
  /** A client of `@aws-sdk/client-s3` with region, endpoint and credentials. It is not closed. */
  readonly client: S3Client;
  /** The name of an existing bucket. */
  readonly bucket: string;
  /** Prefix of all keys, ending with a slash. Default: none. Each shard needs its own prefix. */
  readonly prefix?: string | undefined;
}

const KNOWN: FieldsOf<S3CheckpointsOptions> = { client: true, bucket: true, prefix: true };

/**
 * A checkpoint store in a bucket of S3 or a compatible server, where puts are atomic. The server
 * must have read-after-write consistency, as S3 has.
 */
export class S3Checkpoints implements CheckpointStore {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;
  #isClosed = false;

  /** @throws TypeError, RangeError */
  constructor(options: S3CheckpointsOptions) {
    requireKnownFields(options, KNOWN, 'options');
    const { client, bucket, prefix = '' } = options;
    if (typeof bucket !== 'string' || bucket === '') {
      throw new TypeError('options.bucket must be the name of a bucket');
    }
    if (typeof client?.send !== 'function') {
      throw new TypeError('options.client must be an S3Client of @aws-sdk/client-s3');
    }
    if (typeof prefix !== 'string') throw new TypeError('options.prefix must be a string');
    if (!/^(?:[\w.-]+\/)*$/.test(prefix) || prefix.length > 500) {
      throw new RangeError("options.prefix must be like 'checkpoints/shard-1/'");
    }
    this.#client = client;
    this.#bucket = bucket;
    this.#prefix = prefix;
  }

  async put(
    name: string,
    source: CheckpointSource,
    { signal }: CheckpointCallOptions = {},
  ): Promise<void> {
    const at = this.#at(name);
    const parts = partsOf(checkedSource(name, source, signal));
    if (source.sizeBytes > PART_BYTES) return await this.#putParts(name, at, parts, signal);
    let body: Uint8Array = new Uint8Array(0);
    for await (const part of parts) body = part;
    signal?.throwIfAborted();
    await this.#send(`${name} was not stored`, signal, (options) =>
      this.#client.send(new PutObjectCommand({ ...at, Body: body }), options),
    );
  }

  async *get(
    name: string,
    { signal }: CheckpointCallOptions = {},
  ): AsyncGenerator<Uint8Array, undefined> {
    const at = this.#at(name);
    const what = `${name} cannot be read`;
    const { Body } = await this.#send(what, signal, (options) =>
      this.#client.send(new GetObjectCommand(at), options),
    );
    try {
      for await (const piece of Body as unknown as AsyncIterable<Uint8Array>) {
        signal?.throwIfAborted();
        yield piece;
      }
    } catch (error) {
      throw this.#failure(error, what, signal);
    }
  }

  async *list(
    prefix: string,
    { signal }: CheckpointCallOptions = {},
  ): AsyncGenerator<CheckpointObject, undefined> {
    this.#checkOpen();
    const request = { Bucket: this.#bucket, Prefix: this.#prefix + prefix };
    let token: string | undefined;
    do {
      const page = { ...request, ...(token !== undefined && { ContinuationToken: token }) };
      const answer = await this.#send(`the bucket cannot be listed`, signal, (options) =>
        this.#client.send(new ListObjectsV2Command(page), options),
      );
      for (const { Key = '', Size = 0 } of answer.Contents ?? []) {
        yield { name: Key.slice(this.#prefix.length), sizeBytes: Size };
      }
      token = answer.IsTruncated === true ? answer.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async delete(name: string, { signal }: CheckpointCallOptions = {}): Promise<void> {
    const at = this.#at(name);
    try {
      await this.#send(`${name} was not removed`, signal, (options) =>
        this.#client.send(new DeleteObjectCommand(at), options),
      );
    } catch (error) {
      if (!(error instanceof CheckpointStoreError && error.reason === 'not-found')) throw error;
    }
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return Promise.resolve();
  }

  async #putParts(
    name: string,
    at: ObjectAddress,
    parts: AsyncIterable<Buffer>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const what = `${name} was not stored`;
    const { UploadId } = await this.#send(what, signal, (options) =>
      this.#client.send(new CreateMultipartUploadCommand(at), options),
    );
    const upload = { ...at, UploadId };
    try {
      const completed: CompletedPart[] = [];
      for await (const Body of parts) {
        const part = { ...upload, Body, PartNumber: completed.length + 1 };
        const answer = await this.#send(what, signal, (options) =>
          this.#client.send(new UploadPartCommand(part), options),
        );
        const { ETag, ChecksumCRC32 } = answer;
        completed.push({ ETag, ChecksumCRC32, PartNumber: part.PartNumber });
      }
      const all = { ...upload, MultipartUpload: { Parts: completed } };
      await this.#send(what, signal, (options) =>
        this.#client.send(new CompleteMultipartUploadCommand(all), options),
      );
    } catch (error) {
      await this.#client.send(new AbortMultipartUploadCommand(upload)).catch(() => undefined);
      throw error;
    }
  }

  async #send<T>(
    what: string,
    signal: AbortSignal | undefined,
    send: (options: { abortSignal?: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    this.#checkOpen();
    signal?.throwIfAborted();
    try {
      return await send(signal === undefined ? {} : { abortSignal: signal });
    } catch (error) {
      throw this.#failure(error, what, signal);
    }
  }

  #failure(error: unknown, what: string, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted === true) return signal.reason;
    const isMissing = (error as { name?: unknown }).name === 'NoSuchKey';
    const text = `${what}: ${error instanceof Error ? error.message : String(error)}`;
    return new CheckpointStoreError(isMissing ? 'not-found' : 'unavailable', text, {
      cause: error,
    });
  }

  #at(name: string): ObjectAddress {
    this.#checkOpen();
    return { Bucket: this.#bucket, Key: this.#prefix + checkObjectName(name) };
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StoreClosedError('the checkpoint store is closed');
  }
}

interface ObjectAddress {
  readonly Bucket: string;
  readonly Key: string;
}

/** The content in pieces of `PART_BYTES`; the last one may be shorter. */
async function* partsOf(content: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let pieces: Uint8Array[] = [];
  let lengthBytes = 0;
  for await (const piece of content) {
    for (let from = 0; from < piece.length;) {
      const taken = piece.subarray(from, from + PART_BYTES - lengthBytes);
      pieces.push(taken);
      lengthBytes += taken.length;
      from += taken.length;
      if (lengthBytes < PART_BYTES) continue;
      yield Buffer.concat(pieces);
      pieces = [];
      lengthBytes = 0;
    }
  }
  if (lengthBytes > 0) yield Buffer.concat(pieces);
}
