import { BucketNotEmptyError, NodeError } from '../node-errors.ts';
import type { BucketInfo } from '../object-node.ts';
import { ByteWriter } from '../ledger/byte-writer.ts';
import { checkedPolicy, encodeBucketRecord, encodePolicy, KEEP } from '../ledger/bucket-record.ts';
import type { Bucket, BucketPolicy } from '../ledger/bucket-record.ts';
import { keyOf } from '../ledger/keys.ts';
import { handleOf, placeOf } from '../volumes/handle.ts';
import { encodeRecord } from '../volumes/record.ts';
import { loadZstd } from '../volumes/zstd.ts';
import type { Marks } from './marks.ts';
import type { NodeParts } from './node-parts.ts';
import type { Uploads } from './uploads.ts';
import type { WriteBuffer } from './write-buffer.ts';

const MAX_BUCKET_NAME_BYTES = 255;

export interface BucketDetails extends BucketInfo {
  readonly policy: BucketPolicy;
  readonly objects: number;
  /** Bytes of their bodies. */
  readonly bytes: number;
}

/** Creates and removes buckets. */
export class BucketKeeper {
  readonly #parts: NodeParts;
  readonly #uploads: Uploads;
  readonly #marks: Marks;
  readonly #buffer: WriteBuffer;

  constructor(parts: NodeParts, uploads: Uploads, marks: Marks, buffer: WriteBuffer) {
    this.#parts = parts;
    this.#uploads = uploads;
    this.#marks = marks;
    this.#buffer = buffer;
  }

  all(): BucketInfo[] {
    return this.#parts.buckets.all().map(({ name, createdMs }) => ({ name, createdMs }));
  }

  details(): BucketDetails[] {
    return this.#parts.buckets.all().map((bucket) => {
      const { name, createdMs, policy, objects, bytes } = bucket;
      return { name, createdMs, policy, objects, bytes };
    });
  }

  get(name: string): BucketInfo | undefined {
    const bucket = this.#parts.buckets.find(name);
    return bucket && { name: bucket.name, createdMs: bucket.createdMs };
  }

  /**
   * False if it already exists, with any policy.
   *
   * @throws NodeError `BAD_NAME`, `BAD_OPTION`, `NO_ZSTD`
   */
  async create(name: string, given: BucketPolicy = KEEP): Promise<boolean> {
    const { buckets, counters, names, now, publisher, writers } = this.#parts;
    const policy = checkedPolicy(given);
    const bytes = Buffer.from(name, 'utf8');
    if (bytes.length === 0 || bytes.length > MAX_BUCKET_NAME_BYTES) {
      const message = `a bucket's name must have 1 to ${MAX_BUCKET_NAME_BYTES} bytes of UTF-8`;
      throw new NodeError('BAD_NAME', message);
    }
    if (buckets.find(name) !== undefined) return false;
    if (policy.compression === 'zstd') await loadZstd();
    const id = counters.takeBucket();
    const createdMs = now();
    const record = encodeRecord({
      kind: 'bucket',
      sequence: counters.takeSerial(),
      key: BigInt(id),
      bucketId: id,
      sizeBytes: 0,
      timeMs: createdMs,
      name: bytes,
      meta: encodePolicy(new ByteWriter(), policy).end(),
      body: [],
      bodyBytes: 0,
    });
    const at = await writers.data.append(record).catch((error: unknown) => {
      // It may still have reached the disk.
      this.#unmake(id);
      throw error;
    });
    const bucket: Bucket = {
      id,
      name,
      createdMs,
      policy,
      objects: 0,
      bytes: 0,
      handle: handleOf(at.volume.number, at.offset),
      lengthBytes: at.lengthBytes,
    };
    try {
      const isNew = await publisher.submit(
        (turn) => {
          if (buckets.find(name) !== undefined) return false;
          turn.put(keyOf('bucket', id), 1n, encodeBucketRecord(bucket));
          turn.revive(at);
          names.addBucket(turn, id);
          turn.onCommit(() => buckets.add(bucket));
          return true;
        },
        { alone: true },
      );
      if (!isNew) this.#unmake(id);
      return isNew;
    } catch (error) {
      if (publisher.failure === undefined) this.#unmake(id);
      throw error;
    } finally {
      at.settle();
    }
  }

  /** A rebuild of the metadata must not find it. */
  #unmake(id: number): void {
    const sequence = this.#parts.counters.takeSerial();
    this.#marks.tombstone({ bucket: { id }, name: new Uint8Array(), sequence });
  }

  /** Aborts its incomplete uploads. @throws NoSuchBucketError, BucketNotEmptyError */
  async delete(name: string): Promise<void> {
    const bucket = this.#parts.buckets.get(name);
    await this.#buffer.exclusively(bucket, undefined, () => this.#delete(bucket));
    this.#buffer.drop(bucket);
  }

  async #delete(bucket: Bucket): Promise<void> {
    const { buckets, names, onError, publisher, volumes, writers } = this.#parts;
    await this.#abortUploads(bucket);
    await publisher.submit(
      (turn) => {
        buckets.check(bucket);
        if (turn.objectsOf(bucket) > 0) throw new BucketNotEmptyError(bucket.name);
        for (const upload of this.#uploads.allOf(bucket)) this.#uploads.bury(turn, upload);
        names.removeBucket(turn, bucket.id);
        turn.bury(volumes.get(placeOf(bucket.handle).volume), bucket.lengthBytes);
        turn.delete(keyOf('bucket', bucket.id));
        turn.onCommit(() => buckets.remove(bucket));
      },
      { alone: true },
    );
    await writers.drop(bucket).catch(onError);
    // It is about all volumes of the bucket.
    this.#unmake(bucket.id);
  }

  /** Each by a batch of its own: one of all of them could be longer than a batch may be. */
  async #abortUploads(bucket: Bucket): Promise<void> {
    const { buckets, publisher } = this.#parts;
    let isLeft = true;
    while (isLeft) {
      isLeft = await publisher.submit(
        (turn) => {
          buckets.check(bucket);
          if (turn.objectsOf(bucket) > 0) throw new BucketNotEmptyError(bucket.name);
          const upload = this.#uploads.firstOf(bucket);
          if (upload !== undefined) this.#uploads.bury(turn, upload);
          return upload !== undefined;
        },
        { alone: true },
      );
    }
  }
}
