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
import { NO_BYTES } from '../object-node.ts';
import { checkedByteName } from '../names/byte-name.ts';
import type { Appended } from '../volumes/group-writer.ts';
import { handleOf } from '../volumes/handle.ts';
import { FLAG_EXTENTS } from '../volumes/record.ts';
import { BodyWriter, type WrittenBody } from './body-writer.ts';
import { judgeCondition } from './condition.ts';
import { encodeContent } from './content-record.ts';
import { Marks } from './marks.ts';
import type { NodeParts } from './node-parts.ts';
import { checkedEtag, type ObjectEntry } from './object-entry.ts';
import type { ObjectFinder } from './object-finder.ts';
import { encodeObject, storedIn, type RecordFields, type Target } from './object-record.ts';
import type { NewObject, Publication } from './publication.ts';
import type { WriteBuffer } from './write-buffer.ts';

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
  readonly #buffer: WriteBuffer;
  readonly marks: Marks;
  readonly counts: WriterCounts = { puts: 0, putBytes: 0, deletes: 0, overtaken: 0, voided: 0 };

  constructor(
    parts: NodeParts,
    publication: Publication,
    finder: ObjectFinder,
    buffer: WriteBuffer,
  ) {
    this.#parts = parts;
    this.#publication = publication;
    this.#finder = finder;
    this.#buffer = buffer;
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
    const { condition } = options;
    // Checked again when it is published. Here it saves the body of a request that cannot succeed.
    if (condition !== undefined) judgeCondition(condition, this.#existing(target));
    this.#buffer.assertWritable(target.bucket);
    const freedBytes = this.#freedBytes(target, options);
    this.#parts.space.check(Math.max(0, (options.sizeBytes ?? 0) - freedBytes));
    this.#parts.flights.begin(hash.home);
    const writer = this.bodyWriter(target, false);
    try {
      const written = await writer.take(body, { ...options, freedBytes });
      const description = await options.describe();
      if (isDeferrable(options) && target.bucket.policy.acknowledge === 'deferred') writer.settle();
      const deferred = await this.#defer(target, written, description, options);
      if (deferred !== undefined) return deferred;
      return await this.#buffer.exclusively(target.bucket, target.name, () =>
        this.#store(target, written, description, condition),
      );
    } finally {
      await writer.release();
      this.#parts.flights.end(hash.home);
    }
  }

  /** Promised bytes that it may replace. The write buffer promises again what it takes. */
  #freedBytes(target: Target, options: PutOptions): number {
    const { sizeBytes = 0 } = options;
    const isSmall = sizeBytes <= this.#parts.extentBytes;
    return isDeferrable(options) && isSmall ? this.#buffer.freedBy(target) : 0;
  }

  /** Undefined if it must be stored at once. */
  async #defer(
    target: Target,
    written: WrittenBody,
    { etag, meta }: BodyDescription,
    options: PutOptions,
  ): Promise<ObjectInfo | undefined> {
    if (!isDeferrable(options) || written.kind !== 'pieces') return undefined;
    // It could not be published later.
    checkedEtag(etag);
    const fields = { modifiedMs: this.#parts.now(), label: { etag, meta } };
    return this.#buffer.take(target, written.pieces, fields);
  }

  #existing({ bucket, name, hash }: Target): ObjectInfo | ObjectEntry | undefined {
    return this.#buffer.find(bucket, name)?.info ?? this.#finder.entry(hash);
  }

  bodyWriter(target: Target, inExtents: boolean): BodyWriter {
    const { budget, counters, extentBytes, maxObjectBytes, now, space, writers } = this.#parts;
    const { bucket } = target;
    return new BodyWriter({
      budget,
      extentBytes,
      takeSerial: () => counters.takeSerial(),
      store: (pieces, sizeBytes) => storedIn(bucket, pieces, sizeBytes),
      append: (record) => writers.of(bucket).appendPieces(record),
      space,
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
    const record = encodeObject(target, fields, sequence);
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
  delete(bucketName: string, name: string, condition?: Condition): Promise<boolean> {
    const target = this.target(bucketName, name);
    const remove = (): Promise<boolean> => this.#delete(target, condition);
    return this.#buffer.exclusively(target.bucket, target.name, remove, 'continue');
  }

  async #delete(target: Target, condition: Condition | undefined): Promise<boolean> {
    const { bucket, hash, nameBytes } = target;
    const sequence = await this.#parts.publisher.submit((turn) => {
      this.#parts.buckets.check(bucket);
      const found = this.#publication.find(turn, hash);
      judgeCondition(condition, found && this.#publication.entryOf(found));
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
  setMeta(
    bucketName: string,
    name: string,
    change: (details: ObjectDetails) => ObjectMeta,
  ): Promise<ObjectInfo> {
    const target = this.target(bucketName, name);
    return this.#buffer.exclusively(target.bucket, target.name, () =>
      this.#setMeta(target, name, change),
    );
  }

  async #setMeta(
    target: Target,
    name: string,
    change: (details: ObjectDetails) => ObjectMeta,
  ): Promise<ObjectInfo> {
    const { bucket, hash } = target;
    this.#parts.flights.begin(hash.home);
    try {
      for (;;) {
        const reader = await this.#finder.open(bucket.name, name, { wanted: () => NO_BYTES });
        if (reader === undefined) throw new NoSuchObjectError(bucket.name, name);
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
      this.#parts.space.check(0);
      const body = await reader.recordBody();
      this.#parts.space.check(body.bodyBytes);
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

/** True if the policy of the bucket decides when it is acknowledged. */
function isDeferrable({ condition, acknowledge }: PutOptions): boolean {
  return condition === undefined && acknowledge !== 'synced';
}

class Replaced extends Error {
  override name = 'Replaced';
}
