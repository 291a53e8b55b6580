import type { ByteRange, ObjectInfo, OpenOptions } from '../object-node.ts';
import { quoted } from '../node-errors.ts';
import type { Bucket } from '../ledger/bucket-record.ts';
import { byteNameOf, textOfByteName, type ByteName } from '../names/byte-name.ts';
import type { NameHash } from '../names/name-hash.ts';
import { placeOf } from '../volumes/handle.ts';
import { bodyOffset, labelOf, lengthOfRecord, type RecordHeader } from '../volumes/record.ts';
import type { Volume } from '../volumes/volume.ts';
import type { NodeParts } from './node-parts.ts';
import { decodeEntry, type ObjectEntry } from './object-entry.ts';
import { findObject, type FoundObject } from './object-table.ts';
import { decodeLabel } from './record-label.ts';
import { pinContent, pinsOf, StoredObjectReader } from './stored-object-reader.ts';

/** A record up to this size is read with one call. */
const READ_AT_ONCE_BYTES = 128 * 1024;
const HEAD_BYTES = 4096;

/** Finds objects by name, synchronously, and opens them. */
export class ObjectFinder {
  readonly #parts: NodeParts;
  readonly #get: (key: bigint) => ReturnType<NodeParts['store']['get']>;
  opened = 0;

  constructor(parts: NodeParts) {
    this.#parts = parts;
    this.#get = (key) => parts.store.get(key);
  }

  textOf(name: ByteName): string {
    return textOfByteName(name);
  }

  find(hash: NameHash): FoundObject | undefined {
    return findObject(this.#get, hash);
  }

  entry(hash: NameHash): ObjectEntry | undefined {
    const found = this.find(hash);
    return found && decodeEntry(found.data, this.#parts.identity.epochMs);
  }

  /** @throws NoSuchBucketError */
  info(bucketName: string, name: string): ObjectInfo | undefined {
    const bucket = this.#parts.buckets.get(bucketName);
    return this.infoOf(bucket, byteNameOf(name), name);
  }

  infoOf(bucket: Bucket, byteName: ByteName, name: string): ObjectInfo | undefined {
    const entry = this.entry(this.#parts.hash(bucket.id, byteName));
    if (entry === undefined) return undefined;
    const { sizeBytes, etag, modifiedMs } = entry;
    return { bucket: bucket.name, name, sizeBytes, etag, modifiedMs };
  }

  /** @throws NoSuchBucketError, DamagedObjectError */
  async open(
    bucketName: string,
    name: string,
    { wanted }: OpenOptions = {},
  ): Promise<StoredObjectReader | undefined> {
    const bucket = this.#parts.buckets.get(bucketName);
    const byteName = byteNameOf(name);
    const found = this.find(this.#parts.hash(bucket.id, byteName));
    if (found === undefined) return undefined;
    this.opened++;
    const entry = decodeEntry(found.data, this.#parts.identity.epochMs);
    const { sizeBytes, etag, modifiedMs } = entry;
    const range = wanted?.({ bucket: bucket.name, name, sizeBytes, etag, modifiedMs });
    const all = { startBytes: 0, endBytes: sizeBytes };
    return this.#openFound(bucket, byteName, { found, entry }, range ?? all);
  }

  async #openFound(
    bucket: Bucket,
    name: ByteName,
    { found, entry }: { readonly found: FoundObject; readonly entry: ObjectEntry },
    wanted: ByteRange,
  ): Promise<StoredObjectReader> {
    const { volumes } = this.#parts;
    const place = placeOf(found.handle);
    const volume = volumes.existing(place.volume, place.offset);
    // Everything that will be read is pinned before the first await.
    const record = { from: place.offset, to: place.offset + entry.lengthBytes };
    const pins = pinsOf([{ volume, record }]);
    try {
      const pinned = pinContent(this.#parts, { entry, nameBytes: name.length, wanted });
      const { content, pins: more } = (pinned instanceof Promise ? await pinned : pinned) ?? {};
      if (more !== undefined) pins.push(...more);
      const isWhole = entry.lengthBytes <= READ_AT_ONCE_BYTES;
      const length = isWhole ? entry.lengthBytes : HEAD_BYTES;
      let head = Buffer.allocUnsafe(length);
      await volumes.read(volume, head, place.offset);
      const whose = quoted(`${bucket.name}/${textOfByteName(name)}`);
      const header = this.#headerOf(volume, head, place.offset, entry, whose);
      const labelEnd = bodyOffset(header);
      if (labelEnd > head.length) {
        head = Buffer.allocUnsafe(labelEnd);
        await volumes.read(volume, head, place.offset);
      }
      const label = labelOf(header, head);
      if (
        label === undefined ||
        header.bucketId !== bucket.id ||
        label.name.toString('latin1') !== name
      ) {
        const message = `name and metadata of ${whose} are damaged`;
        throw volumes.damaged(volume, place.offset, message);
      }
      const { etag, meta, uploadId, parts } = decodeLabel(label.meta);
      if (etag !== entry.etag) {
        throw volumes.damaged(volume, place.offset, `${whose} has another ETag here`);
      }
      const { sizeBytes, modifiedMs } = entry;
      return new StoredObjectReader(volumes, {
        details: {
          bucket: bucket.name,
          name: textOfByteName(name),
          sizeBytes,
          etag,
          modifiedMs,
          meta,
          ...(uploadId !== undefined && { uploadId }),
          ...(parts !== undefined && { parts }),
        },
        wanted,
        volume,
        place,
        header,
        head,
        content,
        pins,
      });
    } catch (error) {
      for (const pin of pins) pin.release();
      throw error;
    }
  }

  #headerOf(
    volume: Volume,
    head: Buffer,
    offset: number,
    entry: ObjectEntry,
    whose: string,
  ): RecordHeader {
    const { volumes } = this.#parts;
    const seal = volumes.sealOf(volume.number);
    const header = seal.read(head, 0, offset);
    if (header === undefined) {
      const isLater = seal.isOfLaterVersion(head, 0, offset);
      const reason = isLater ? 'of a later version of the node' : 'damaged';
      throw volumes.damaged(volume, offset, `the header of ${whose} is ${reason}`);
    }
    const isExpected =
      header.kind === 'object' &&
      header.sizeBytes === entry.sizeBytes &&
      lengthOfRecord(header) === entry.lengthBytes;
    if (!isExpected) throw volumes.damaged(volume, offset, `another record than that of ${whose}`);
    return header;
  }
}
