import { InvalidPartError, NodeError, NoSuchUploadError } from '../node-errors.ts';
import type {
  Body,
  BodyDescription,
  Condition,
  ObjectInfo,
  ObjectMeta,
  PartInfo,
  PutOptions,
  UploadInfo,
  UploadList,
  UploadListOptions,
} from '../object-node.ts';
import { NO_BYTES } from '../object-node.ts';
import type { Bucket } from '../ledger/bucket-record.ts';
import { keyOf, partKey, partNumberOf, rangeOf } from '../ledger/keys.ts';
import type { Turn } from '../ledger/publisher.ts';
import { byteNameOf, type ByteName } from '../names/byte-name.ts';
import { FLAG_EXTENTS } from '../volumes/record.ts';
import { encodeContent } from './content-record.ts';
import { listUploads } from './listing.ts';
import type { NodeParts } from './node-parts.ts';
import type { ObjectFinder } from './object-finder.ts';
import type { Target } from './object-record.ts';
import type { ObjectWriter } from './object-writer.ts';
import type { Publication } from './publication.ts';
import { decodePart, decodeUpload, encodePart, encodeUpload } from './upload-record.ts';
import type { Part, Upload } from './upload-record.ts';
import { UploadDirectory, type ListedUpload } from './upload-directory.ts';
import type { WriteBuffer } from './write-buffer.ts';

export const MAX_PART_NUMBER = 10_000;

/** Multipart uploads. Parts are extents from the start, so completing an upload copies nothing. */
export class Uploads {
  readonly #parts: NodeParts;
  readonly #publication: Publication;
  readonly #writer: ObjectWriter;
  readonly #finder: ObjectFinder;
  readonly #buffer: WriteBuffer;
  readonly #directory: UploadDirectory = new UploadDirectory();

  constructor(
    parts: NodeParts,
    publication: Publication,
    writer: ObjectWriter,
    finder: ObjectFinder,
    buffer: WriteBuffer,
  ) {
    this.#parts = parts;
    this.#publication = publication;
    this.#writer = writer;
    this.#finder = finder;
    this.#buffer = buffer;
    this.#directory.load(parts.store);
  }

  /**
   * Serial, and 40 bits that only this node can compute. It begins with a letter: clients that take
   * digits in XML for a number would change an id of digits (the client of MinIO does).
   */
  #idOf(upload: Upload): string {
    const { mark } = this.#parts.hash(upload.serial % 2 ** 32, byteNameOf(upload.name));
    const serial = upload.serial.toString(16).padStart(12, '0');
    return `u${serial}${mark.toString(16).padStart(10, '0')}`;
  }

  #infoOf(upload: Upload, bucket: Bucket): UploadInfo {
    const { name, startedMs, meta } = upload;
    return { uploadId: this.#idOf(upload), bucket: bucket.name, name, startedMs, meta };
  }

  #find(uploadId: string): Upload | undefined {
    // Until 2026-11-30 there was no letter before an id.
    const id = /^u?([0-9a-f]{22})$/.exec(uploadId)?.[1];
    if (id === undefined) return undefined;
    const serial = Number.parseInt(id.slice(0, 12), 16);
    const record = this.#parts.store.get(keyOf('upload', serial));
    const upload = record && decodeUpload(serial, record.data);
    return upload !== undefined && this.#idOf(upload) === `u${id}` ? upload : undefined;
  }

  /** @throws NoSuchUploadError */
  #get(uploadId: string): { readonly upload: Upload; readonly bucket: Bucket } {
    const upload = this.#find(uploadId);
    const bucket = upload && this.#parts.buckets.byId(upload.bucketId);
    if (upload === undefined || bucket === undefined) throw new NoSuchUploadError(uploadId);
    return { upload, bucket };
  }

  async create(bucketName: string, name: string, meta: ObjectMeta): Promise<UploadInfo> {
    const { bucket } = this.#writer.target(bucketName, name);
    const { counters, now, publisher, buckets } = this.#parts;
    const startedMs = now();
    const upload = { serial: counters.takeSerial(), bucketId: bucket.id, name, startedMs, meta };
    await publisher.submit((turn) => {
      buckets.check(bucket);
      turn.put(keyOf('upload', upload.serial), 1n, encodeUpload(upload));
      turn.onCommit(() => this.#directory.add(bucket.id, listedOf(upload)));
    });
    return this.#infoOf(upload, bucket);
  }

  get(bucketName: string, name: string, uploadId: string): UploadInfo | undefined {
    const bucket = this.#parts.buckets.get(bucketName);
    const upload = this.#find(uploadId);
    const isThis = upload?.bucketId === bucket.id && upload.name === name;
    return isThis ? this.#infoOf(upload, bucket) : undefined;
  }

  async putPart(
    uploadId: string,
    number: number,
    body: Body,
    options: PutOptions,
  ): Promise<PartInfo> {
    if (!Number.isInteger(number) || number < 1 || number > MAX_PART_NUMBER) {
      throw new NodeError('BAD_OPTION', `a part must have a number from 1 to ${MAX_PART_NUMBER}`);
    }
    const { upload, bucket } = this.#get(uploadId);
    this.#parts.space.check(options.sizeBytes ?? 0);
    const target = this.#writer.target(bucket.name, upload.name);
    const writer = this.#writer.bodyWriter(target, true);
    try {
      const written = await writer.take(body, options);
      const { etag, meta } = await options.describe();
      if (written.kind !== 'extents') throw new Error('a part is written in extents');
      const { serial, extents, sizeBytes } = written;
      const modifiedMs = this.#parts.now();
      const { checksums } = meta;
      const info = { number, sizeBytes, etag, modifiedMs, ...(checksums && { checksums }) };
      await this.#parts.publisher.submit((turn) => {
        if (turn.get(keyOf('upload', upload.serial)) === undefined) {
          throw new NoSuchUploadError(uploadId);
        }
        this.#buryPart(turn, upload.serial, number);
        this.#publication.extents(turn, serial, extents, modifiedMs);
        const data = encodePart({ info, serial, extents: extents.length });
        turn.put(partKey(upload.serial, number), BigInt(serial), data);
      });
      return info;
    } finally {
      await writer.release();
    }
  }

  #buryPart(turn: Turn, serial: number, number: number): void {
    const key = partKey(serial, number);
    const record = turn.get(key);
    if (record === undefined) return;
    const part = decodePart(number, record);
    this.#publication.buryExtents(turn, part.serial, part.extents);
    turn.delete(key);
  }

  #partsOf(serial: number): Part[] {
    const range = { gte: partKey(serial, 0), lte: partKey(serial, MAX_PART_NUMBER) };
    const parts: Part[] = [];
    for (const [key, record] of this.#parts.store.entries(range)) {
      parts.push(decodePart(partNumberOf(key), record));
    }
    return parts;
  }

  parts(uploadId: string): PartInfo[] {
    return this.#partsOf(this.#get(uploadId).upload.serial).map(({ info }) => info);
  }

  complete(
    bucketName: string,
    name: string,
    uploadId: string,
    wanted: readonly { readonly number: number; readonly etag: string }[],
    description: BodyDescription,
    condition: Condition | undefined,
  ): Promise<ObjectInfo> {
    const target = this.#writer.target(bucketName, name);
    return this.#buffer.exclusively(target.bucket, target.name, () =>
      this.#completeOnce(target, name, uploadId, wanted, description, condition),
    );
  }

  async #completeOnce(
    target: Target,
    name: string,
    uploadId: string,
    wanted: readonly { readonly number: number; readonly etag: string }[],
    description: BodyDescription,
    condition: Condition | undefined,
  ): Promise<ObjectInfo> {
    const bucketName = target.bucket.name;
    const upload = this.#find(uploadId);
    const isThis = upload?.bucketId === target.bucket.id && upload.name === name;
    if (!isThis) return this.#completed(bucketName, name, uploadId);
    const { flights } = this.#parts;
    flights.begin(target.hash.home);
    try {
      return await this.#complete(target, upload, this.#chosen(upload, wanted), description, {
        condition,
        uploadId,
      });
    } catch (error) {
      if (error instanceof NoSuchUploadError) return this.#completed(bucketName, name, uploadId);
      throw error;
    } finally {
      flights.end(target.hash.home);
    }
  }

  /** The result of the same request, when it is repeated. @throws NoSuchUploadError */
  async #completed(bucketName: string, name: string, uploadId: string): Promise<ObjectInfo> {
    const reader = await this.#finder.open(bucketName, name, { wanted: () => NO_BYTES });
    if (reader === undefined) throw new NoSuchUploadError(uploadId);
    reader.close();
    if (reader.details.uploadId !== uploadId) throw new NoSuchUploadError(uploadId);
    const { bucket, sizeBytes, etag, modifiedMs } = reader.details;
    return { bucket, name, sizeBytes, etag, modifiedMs };
  }

  /** @throws InvalidPartError */
  #chosen(
    upload: Upload,
    wanted: readonly { readonly number: number; readonly etag: string }[],
  ): Part[] {
    const stored = new Map(this.#partsOf(upload.serial).map((part) => [part.info.number, part]));
    let before = 0;
    return wanted.map(({ number, etag }) => {
      const part = stored.get(number);
      if (part === undefined || part.info.etag !== etag || number <= before) {
        throw new InvalidPartError(number);
      }
      before = number;
      return part;
    });
  }

  #complete(
    target: Target,
    upload: Upload,
    chosen: readonly Part[],
    { etag, meta }: BodyDescription,
    { condition, uploadId }: { condition: Condition | undefined; uploadId: string },
  ): Promise<ObjectInfo> {
    const runs = chosen.map(({ serial, extents, info }) => ({
      serial,
      count: extents,
      sizeBytes: info.sizeBytes,
    }));
    const body = encodeContent(runs);
    const parts = chosen.map(({ info }) => info);
    const fields = {
      sizeBytes: runs.reduce((sum, run) => sum + run.sizeBytes, 0),
      modifiedMs: this.#parts.now(),
      flags: FLAG_EXTENTS,
      label: { etag, meta, uploadId, parts },
      pieces: [body],
      bodyBytes: body.length,
    };
    const { serial } = upload;
    return this.#writer.publish(target, fields, {
      condition,
      content: { serial, runs, extents: [] },
      // It reads all published parts.
      alone: true,
      check: (turn) => {
        if (turn.get(keyOf('upload', serial)) === undefined) throw new NoSuchUploadError(uploadId);
        for (const part of chosen) {
          const { number } = part.info;
          const record = turn.get(partKey(serial, number));
          if (record?.value !== BigInt(part.serial)) throw new InvalidPartError(number);
        }
      },
      also: (turn) => {
        const taken = new Set(chosen.map(({ info }) => info.number));
        for (const { info } of this.#partsOf(serial)) {
          if (taken.has(info.number)) turn.delete(partKey(serial, info.number));
          else this.#buryPart(turn, serial, info.number);
        }
        this.#end(turn, upload);
      },
    });
  }

  async abort(uploadId: string): Promise<void> {
    const { upload } = this.#get(uploadId);
    await this.#parts.publisher.submit(
      (turn) => {
        if (turn.get(keyOf('upload', upload.serial)) === undefined) {
          throw new NoSuchUploadError(uploadId);
        }
        this.bury(turn, upload);
      },
      { alone: true },
    );
  }

  /** Ends an upload with all its parts. The change must be alone in its turn. */
  bury(turn: Turn, upload: Upload): void {
    for (const { info } of this.#partsOf(upload.serial)) {
      this.#buryPart(turn, upload.serial, info.number);
    }
    this.#end(turn, upload);
  }

  #end(turn: Turn, upload: Upload): void {
    turn.delete(keyOf('upload', upload.serial));
    turn.onCommit(() => this.#directory.remove(upload.bucketId, listedOf(upload)));
  }

  /**
   * Ends the uploads of the name that have a part with one of these serials. Returns their number.
   */
  buryWithParts(turn: Turn, bucket: Bucket, name: ByteName, serials: ReadonlySet<number>): number {
    let count = 0;
    for (const { serial } of this.#directory.withName(bucket.id, name)) {
      const record = turn.get(keyOf('upload', serial));
      if (record === undefined) continue;
      if (!this.#partsOf(serial).some((part) => serials.has(part.serial))) continue;
      this.bury(turn, decodeUpload(serial, record.data));
      count++;
    }
    return count;
  }

  firstOf(bucket: Bucket): Upload | undefined {
    const first = this.#directory.of(bucket.id)[0];
    return first && this.#existing(first.serial);
  }

  allOf(bucket: Bucket): Upload[] {
    return this.#directory.of(bucket.id).map(({ serial }) => this.#existing(serial));
  }

  #existing(serial: number): Upload {
    const record = this.#parts.store.get(keyOf('upload', serial));
    if (record === undefined) throw new Error('an upload is listed that is not stored');
    return decodeUpload(serial, record.data);
  }

  count(): Promise<number> {
    return this.#parts.store.count(rangeOf('upload'));
  }

  /** @throws NodeError `BAD_OPTION` */
  list(bucket: Bucket, options: UploadListOptions): UploadList {
    return listUploads(this.#directory.of(bucket.id), options, ({ serial }) =>
      this.#infoOf(this.#existing(serial), bucket),
    );
  }
}

function listedOf({ name, serial }: Upload): ListedUpload {
  return { name: byteNameOf(name), serial };
}
