import { NoSuchObjectError } from '../node-errors.ts';
import type {
  Body,
  BodyDescription,
  Condition,
  ObjectDetails,
  ObjectInfo,
  ObjectMeta,
  PutOptions,
} from '../object-node.ts';
import type { Bucket } from '../ledger/bucket-record.ts';
import { checkedByteName, type ByteName } from '../names/byte-name.ts';
import type { NameHash } from '../names/name-hash.ts';
import type { Appended } from '../volumes/group-writer.ts';
import { handleOf } from '../volumes/handle.ts';
import { encodeInPieces, FLAG_EXTENTS } from '../volumes/record.ts';
import { compressBody, type StoredBody } from '../volumes/stored-body.ts';
import { BodyWriter, type WrittenBody } from './body-writer.ts';
import { judgeCondition } from './condition.ts';
import { encodeContent } from './content-record.ts';
import { Marks } from './marks.ts';
import type { NodeParts } from './node-parts.ts';
import type { ObjectFinder } from './object-finder.ts';
import type { NewObject, Publication } from './publication.ts';
import { encodeLabel, type RecordLabel } from './record-label.ts';

/** A name in a bucket, and its form on disk. */
export interface Target {
  readonly bucket: Bucket;
  readonly name: ByteName;
  readonly nameBytes: Uint8Array;
  readonly hash: NameHash;
}

/** Bytes of a body as a bucket stores them. @throws NodeError `NO_ZSTD` */
async function storedIn(
  { policy }: Bucket,
  pieces: readonly Uint8Array[],
  sizeBytes: number,
): Promise<StoredBody> {
  if (policy.compression === 'zstd') return compressBody(pieces, sizeBytes);
  return { pieces, bodyBytes: sizeBytes };
}

interface RecordFields extends StoredBody {
  readonly sizeBytes: number;
  readonly flags: number;
  readonly modifiedMs: number;
  readonly label: RecordLabel;
}

export interface WriterCounts {
  puts: number;
  putBytes: number;
  deletes: number;
  overtaken: number;
  voided: number;
}

/** Stores, replaces and removes objects. */
export class ObjectWriter {
  readonly #parts: NodeParts;
  readonly #publication: Publication;
  readonly #finder: ObjectFinder;
  readonly marks: Marks;
  readonly counts: WriterCounts = { puts: 0, putBytes: 0, deletes: 0, overtaken: 0, voided: 0 };

  constructor(parts: NodeParts, publication: Publication, finder: ObjectFinder) {
    this.#parts = parts;
    this.#publication = publication;
    this.#finder = finder;
    this.marks = new Marks(parts);
  }

  /** @throws NoSuchBucketError, NodeError `BAD_NAME` */
  target(bucketName: string, name: string): Target {
    const bucket = this.#parts.buckets.get(bucketName);
    const byteName = checkedByteName(name);
    return {
      bucket,
      name: byteName,
      nameBytes: Buffer.from(byteName, 'latin1'),
      hash: this.#parts.hash(bucket.id, byteName),
    };
  }

  async put(
    bucketName: string,
    name: string,
    body: Body,
    options: PutOptions,
  ): Promise<ObjectInfo> {
    const target = this.target(bucketName, name);
    const { hash } = target;
    // Checked again when it is published. Here it saves the body of a request that cannot succeed.
    judgeCondition(options.condition, this.#finder.entry(hash)?.etag);
    this.#parts.checkSpace(options.sizeBytes ?? 0);
    this.#parts.flights.begin(hash.home);
    const writer = this.bodyWriter(target, false);
    try {
      const written = await writer.take(body, options);
      const description = await options.describe();
      return await this.#store(target, written, description, options.condition);
    } finally {
      await writer.release();
      this.#parts.flights.end(hash.home);
    }
  }

  bodyWriter(target: Target, inExtents: boolean): BodyWriter {
    const { budget, counters, extentBytes, maxObjectBytes, now, writers } = this.#parts;
    const { bucket } = target;
    return new BodyWriter({
      budget,
      extentBytes,
      takeSerial: () => counters.takeSerial(),
      store: (pieces, sizeBytes) => storedIn(bucket, pieces, sizeBytes),
      append: (record) => writers.of(bucket).appendPieces(record),
      bucketId: bucket.id,
      name: target.nameBytes,
      timeMs: now(),
      maxBytes: maxObjectBytes,
      inExtents,
    });
  }

  async #store(
    target: Target,
    written: WrittenBody,
    { etag, meta }: BodyDescription,
    condition: Condition | undefined,
  ): Promise<ObjectInfo> {
    const { sizeBytes } = written;
    const modifiedMs = this.#parts.now();
    const base = { sizeBytes, modifiedMs, label: { etag, meta } };
    if (written.kind === 'pieces') {
      const body = await storedIn(target.bucket, written.pieces, sizeBytes);
      return this.publish(target, { ...base, ...body, flags: 0 }, { condition });
    }
    const { serial, extents } = written;
    const runs = [{ serial, count: extents.length, sizeBytes }];
    const content = encodeContent(runs);
    const fields = {
      ...base,
      flags: FLAG_EXTENTS,
      pieces: [content],
      bodyBytes: content.length,
    };
    return this.publish(target, fields, {
      condition,
      content: { serial, runs, extents: [{ serial, all: extents }] },
    });
  }

  /**
   * Writes the record of an object and publishes it. `check` runs in the same turn before
   * everything else, `also` after it.
   */
  async publish(
    target: Target,
    fields: RecordFields,
    more: Pick<NewObject, 'condition' | 'content'> & {
      readonly check?: Parameters<NodeParts['publisher']['submit']>[0];
      readonly also?: Parameters<NodeParts['publisher']['submit']>[0];
      readonly alone?: boolean;
    },
  ): Promise<ObjectInfo> {
    const { bucket, name, hash } = target;
    const { label, modifiedMs, sizeBytes } = fields;
    const sequence = this.#parts.counters.takeSerial();
    const at = await this.#append(target, fields, sequence);
    const object: NewObject = {
      bucket,
      name,
      hash,
      sequence,
      at,
      etag: label.etag,
      sizeBytes,
      modifiedMs,
      content: more.content,
      condition: more.condition,
    };
    try {
      const isNewest = await this.#parts.publisher.submit(
        (turn) => {
          more.check?.(turn);
          const isPut = this.#publication.put(turn, object);
          more.also?.(turn);
          return isPut;
        },
        more.alone === true ? { alone: true } : undefined,
      );
      this.counts.puts++;
      this.counts.putBytes += sizeBytes;
      if (!isNewest) this.counts.overtaken++;
    } catch (error) {
      await this.#void(target, sequence);
      throw error;
    } finally {
      at.settle();
    }
    const { name: bucketName } = bucket;
    const text = this.#finder.textOf(name);
    return { bucket: bucketName, name: text, sizeBytes, etag: label.etag, modifiedMs };
  }

  async #append(target: Target, fields: RecordFields, sequence: number): Promise<Appended> {
    const record = encodeInPieces({
      kind: 'object',
      flags: fields.flags,
      sequence,
      key: target.hash.home,
      bucketId: target.bucket.id,
      sizeBytes: fields.sizeBytes,
      timeMs: fields.modifiedMs,
      name: target.nameBytes,
      meta: encodeLabel(fields.label),
      body: fields.pieces,
      bodyBytes: fields.bodyBytes,
      blockLengths: fields.blockLengths,
    });
    try {
      return await this.#parts.writers.of(target.bucket).appendPieces(record);
    } catch (error) {
      // It may still have reached the disk.
      void this.#void(target, sequence);
      throw error;
    }
  }

  /** A rebuild of the metadata must not restore a refused record. */
  async #void({ bucket, nameBytes }: Target, voided: number): Promise<void> {
    if (this.#parts.publisher.failure !== undefined) return;
    this.counts.voided++;
    const sequence = this.#parts.counters.takeSerial();
    await this.marks.voidRecord({ bucket, name: nameBytes, sequence, voided });
  }

  /** Resolves to false if there is none. */
  async delete(bucketName: string, name: string, condition?: Condition): Promise<boolean> {
    const target = this.target(bucketName, name);
    const { bucket, hash, nameBytes } = target;
    const sequence = await this.#parts.publisher.submit((turn) => {
      this.#parts.buckets.check(bucket);
      const found = this.#publication.find(turn, hash);
      judgeCondition(
        condition,
        found === undefined ? undefined : this.#publication.entryOf(found).etag,
      );
      if (found === undefined) return undefined;
      this.#publication.remove(turn, bucket, target.name, found);
      return this.#publication.noteRemoval(turn, hash);
    });
    if (sequence === undefined) return false;
    this.counts.deletes++;
    this.marks.tombstone({ bucket, name: nameBytes, sequence });
    return true;
  }

  /** The body stays in place, unless it is in the record itself. */
  async setMeta(
    bucketName: string,
    name: string,
    change: (details: ObjectDetails) => ObjectMeta,
  ): Promise<ObjectInfo> {
    const target = this.target(bucketName, name);
    const { hash } = target;
    this.#parts.flights.begin(hash.home);
    try {
      for (;;) {
        const reader = await this.#finder.open(bucketName, name);
        if (reader === undefined) throw new NoSuchObjectError(bucketName, name);
        const changed = await this.#rewrite(target, reader, change);
        if (changed !== undefined) return changed;
      }
    } finally {
      this.#parts.flights.end(hash.home);
    }
  }

  /** Resolves to undefined if another object replaced it meanwhile. */
  async #rewrite(
    target: Target,
    reader: NonNullable<Awaited<ReturnType<ObjectFinder['open']>>>,
    change: (details: ObjectDetails) => ObjectMeta,
  ): Promise<ObjectInfo | undefined> {
    try {
      const { details, place, content } = reader;
      const { etag, uploadId, parts, sizeBytes, modifiedMs } = details;
      const label = { etag, meta: change(details), uploadId, parts };
      const body = await reader.recordBody();
      const fields = { sizeBytes, modifiedMs, label, flags: reader.flags, ...body };
      const handle = handleOf(place.volume, place.offset);
      return await this.publish(target, fields, {
        check: (turn) => {
          if (this.#publication.find(turn, target.hash)?.handle !== handle) throw new Replaced();
        },
        content: content && { ...content, extents: [], isKept: true },
      });
    } catch (error) {
      if (error instanceof Replaced) return undefined;
      throw error;
    } finally {
      reader.close();
    }
  }
}

class Replaced extends Error {
  override name = 'Replaced';
}
